r"""What the book says of every criterion beside its registration: a formula, and what has to be known to compute it.

In the formulas, all of one map, $x_i$ is the response to clip i of n, $z_{it}$ what the map says of it at position t of T; $m_k$,
$s_k$ and $n_k$ are mean, standard deviation and number of clips of class k of K; $w$ is the kernel of its filter.
"""

import numpy as np

from dha_utils.criteria.base import Criterion

F = r"$F = \frac{\sum_k n_k (m_k - m)^2 / (K - 1)}{\sum_k (n_k - 1) s_k^2 / (n - K)}$"
LEFT = "what the maps chosen before leave unexplained"

FORMULAS = {
    "anova": F,
    "welch": r"$\frac{\sum_k v_k (m_k - \tilde m)^2 / (K - 1)}{1 + \frac{2 (K - 2)}{K^2 - 1} \sum_k (1 - v_k / v)^2 / (n_k - 1)}$"
    r", $v_k = \frac{n_k}{s_k^2}$",
    "alexander_govern": r"$\sum_k d_k^2$, $d_k$ the normal deviate of $\frac{m_k - \tilde m}{s_k / \sqrt{n_k}}$",
    "kruskal": r"$(n - 1) \frac{\sum_k n_k (\bar r_k - \bar r)^2}{\sum_i (r_i - \bar r)^2}$, $r_i$ the rank of $x_i$",
    "equivalence": r"Welch's $F$ over its critical value",
    "permutation_f": F,
    "fisher_ratio": r"mean over pairs of classes of $\frac{(m_k - m_l)^2}{s_k^2 + s_l^2}$",
    "games_howell_pairs": r"number of pairs with $\frac{|m_k - m_l|}{\sqrt{(s_k^2 / n_k + s_l^2 / n_l) / 2}} > q_{K, \nu_{kl}}$",
    "mutual_information": r"$I(x; y)$",
    "mrmr": r"$F / \sum_{s \in S} |r_s|$, $S$ the maps chosen before",
    "pivoted_qr": rf"$\|r\|$, $r$ {LEFT}",
    "correlation_clusters": r"$F$, within clusters of distance $1 - |r|$",
    "luo_entropy": r"$-\sum_b p_b \ln p_b$, $p_b$ the share of the clips in bin $b$",
    "apoz": r"$\frac{1}{n T} \sum_{i, t} [z_{it} > 0]$",
    "random": r"$u \sim U(0, 1)$",
    "l1": r"$\sum_j |w_j|$",
    "geometric_median": r"$\sum_v \|w - v\|$, $v$ the other filters of the layer",
    "bn_scale": r"$|\gamma|$",
    "filter_similarity": r"$\cos(u, v)$ of the time courses of two filters",
    "psnet": r"1 where p-Snet has the filter, 0 where not",
    "anova_time_as_released": r"$-p$ of $F$, clips in place of classes",
    "anova_time_corrected": F,
    "entropy_knn_as_released": r"$-\hat H(z_1, \dots, z_n)$, points in $T$ dimensions",
    "entropy_knn_corrected": r"$\hat H(z_1, \dots, z_n)$, points in $T$ dimensions",
    "angle_to_first_as_released": r"minus the standard deviation over clips of $\cos(z_i, z_i^{(0)})$",
    "angle_to_first_corrected": r"standard deviation over clips of $\cos(z_i, z_i^{(0)})$",
    "rank_full_as_released": r"rank of $(z_{it})$",
    "rank_full_corrected": r"rank of $(z_{it})$",
    "explained_variance": rf"$\sum_j (r_j \cdot r)^2 / \|r\|^2$, $r$ {LEFT}",
    "pivoted_qr_unpooled": rf"$\|r\|$, $r$ {LEFT}",
    "group_norm": r"mean of $\|w\|^2$, $\gamma^2$ and $\|v\|^2$, $v$ what the next layer reads the map with",
    "filter_clusters": r"$1 - \cos(w, v)$ of two filters, mean over the pairs of two clusters",
    "wanda": r"$\sum_{i, t} |v_{it}| \, \|z_t\|$, $v_i$ what filter $i$ of the next layer reads the map with",
    "lasso": r"largest $\lambda$ with $\beta \neq 0$ in $\frac{1}{2} \|Y - \sum \beta X v / \|v\| \|^2 + \lambda \sum |\beta|$,"
    r" $X v$ what the next layer reads of the map, $Y$ of all",
    "chip": r"$\|Z\|_* - \|Z_{-z}\|_*$, $Z$ all maps, $Z_{-z}$ all but this one, $\|\cdot\|_*$ the sum of singular values",
    "taylor": r"$\frac{1}{n} \sum_i \left(x_i \, \partial L_i / \partial x_i\right)^2$, $L$ the loss of a linear head",
    "brain_damage": r"$\frac{1}{2 n} \sum_i x_i^2 \, \partial^2 L_i / \partial x_i^2$, $L$ the loss of a linear head",
    "next_layer": r"$\sum_j (q_j \cdot r)^2 / \|r\|^2$, $q_j$ what is left of output $j$ of the next layer",
}
"""Criterion -> what is computed for one map; for those that choose map by map, what the next one has most of. MyST."""


TITLES = {
    "alexander_govern": "Alexander-Govern test",
    "angle_to_first_as_released": "angle to map 0, released",
    "angle_to_first_corrected": "angle to map 0, mended",
    "anova": "ANOVA",
    "anova_time_as_released": "ANOVA over time, released",
    "anova_time_corrected": "ANOVA over time, mended",
    "apoz": "active positions (APoZ)",
    "bn_scale": "batch-norm scale",
    "brain_damage": "brain damage (second order)",
    "chip": "channel independence (CHIP)",
    "correlation_clusters": "correlation clusters",
    "entropy_knn_as_released": "entropy, released",
    "entropy_knn_corrected": "entropy, mended",
    "equivalence": "equivalence test",
    "explained_variance": "explained variance",
    "filter_clusters": "filter clusters",
    "filter_similarity": "similar filters",
    "fisher_ratio": "Fisher's ratio",
    "games_howell_pairs": "Games-Howell pairs",
    "geometric_median": "geometric median",
    "group_norm": "norm of the group",
    "kruskal": "Kruskal-Wallis test",
    "l1": "norm of the filter (L1)",
    "lasso": "LASSO",
    "luo_entropy": "entropy in bins (Luo)",
    "mrmr": "F over correlation (mRMR)",
    "mutual_information": "mutual information",
    "next_layer": "next layer (ThiNet)",
    "permutation_f": "permutation test",
    "pivoted_qr": "pivoted QR",
    "pivoted_qr_unpooled": "pivoted QR, unpooled",
    "psnet": "p-Snet's filters",
    "random": "random maps",
    "rank_full_as_released": "full rank, released",
    "rank_full_corrected": "full rank, mended",
    "taylor": "Taylor expansion",
    "wanda": "Wanda",
    "welch": "Welch's test",
}
"""Criterion -> what people call it, in figures."""


def needs_of(criterion: Criterion) -> str:
    """Return what has to be known to compute a criterion, found by changing it: ``labels``, ``data`` or ``nothing``.

    Those of weights alone need nothing but the network. Those of responses and full maps are computed on noise, with other labels
    and with other noise: what changes the scores is needed. Those of activations are given no labels; a loss has them.

    Examples
    --------
    >>> from dha_utils.criteria import CRITERIA
    >>> [needs_of(CRITERIA[name]) for name in ("anova", "apoz", "anova_time_as_released", "l1", "random")]
    ['labels', 'data', 'data', 'nothing', 'nothing']
    """
    told = {"weights": "nothing", "neighbourhood": "nothing", "activations": "data", "loss": "labels"}
    if criterion.needs in told:
        return told[criterion.needs]
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 8)
    shape = (len(y), 6) if criterion.needs == "responses" else (len(y), 6, 16)
    x = rng.normal(size=shape).astype(np.float32)
    other = rng.normal(size=shape).astype(np.float32)
    other[:, 0] = 0.0  # a map that never says anything has no rank either

    def score(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        groups = [np.arange(len(y))] if criterion.needs == "responses" else []
        return criterion.function(x, y, *groups, np.random.default_rng(1)).score

    first = score(x, y)
    if not np.array_equal(first, score(x, rng.permutation(y))):
        return "labels"
    return "nothing" if np.array_equal(first, score(other, y)) else "data"
