"""What the book says of criteria, against what is known of them."""

from dha_utils.criteria import CRITERIA
from dha_utils.criteria.described import FORMULAS, needs_of

WITHOUT_LABELS = {
    "apoz", "luo_entropy", "anova_time_as_released", "entropy_knn_as_released", "entropy_knn_corrected",
    "angle_to_first_as_released", "angle_to_first_corrected", "rank_full_as_released", "rank_full_corrected",
    "explained_variance", "pivoted_qr_unpooled", "next_layer", "wanda",
}  # fmt: skip
WITH_LABELS = {
    "anova", "welch", "alexander_govern", "kruskal", "equivalence", "permutation_f", "fisher_ratio",
    "games_howell_pairs", "mutual_information", "mrmr", "correlation_clusters", "pivoted_qr", "anova_time_corrected",
    "taylor",
}  # fmt: skip
OF_NOTHING = {
    "random",
    "l1",
    "geometric_median",
    "bn_scale",
    "filter_similarity",
    "psnet",
    "group_norm",
    "filter_clusters",
}


def test_what_criteria_need_is_found():
    for needs, names in (("labels", WITH_LABELS), ("data", WITHOUT_LABELS), ("nothing", OF_NOTHING)):
        assert {name for name in names if needs_of(CRITERIA[name]) != needs} == set(), needs


def test_every_formula_is_of_a_criterion():
    assert {*FORMULAS} <= {*CRITERIA}
    assert {*WITH_LABELS, *WITHOUT_LABELS, *OF_NOTHING} <= {*FORMULAS}
