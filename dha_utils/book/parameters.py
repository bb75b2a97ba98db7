"""The notebooks' parameters: names, types and limits, in the one place that knows them.

papermill injects whatever it is given: it only logs an unknown name, never checks a type, and reads ``1e-3``
as text. So each notebook calls `check_parameters` in the cell after its parameters, and ``dha run`` makes the
same checks before it starts a kernel. Rates are in Hz, durations in seconds.
"""

import reprlib
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import ModuleType, NoneType, SimpleNamespace

from dha_utils.core.errors import ParameterError, choose, point_hint
from dha_utils.core.paths import repository
from dha_utils.datasets import DATASETS

CLASSIFIERS = (
    "converging", "released", "released_probability", "least_squares", "linear_least_squares", "logistic",
)  # fmt: skip
"""Those of `dha_utils.evaluation.ensemble`, by name: `dha --help` does not wait for scikit-learn."""


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be.

    Attributes
    ----------
    types : tuple of type
        Types of an acceptable value; bool never counts as a number, int counts as float.
    valid : callable
        value of one of `types` -> whether it is within the limits.
    expected : str
        The limits in words; completes "expected ...".
    help : str
        What the parameter sets.
    """

    types: tuple[type, ...]
    valid: Callable[[object], bool]
    expected: str
    help: str


def _is_rate(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 8000 <= value <= 192_000


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _none_or_text(value: object) -> bool:
    return value is None or bool(value.strip())


BOOK = ("esc50", "esc10")
"""The data sets of the book, in its order: each has a part of its own, and prose quotes their committed results. What notebooks
declare is the smallest, so that one that is opened by hand is quick."""

SECOND = "15_second_network"

ABOUT_SOUNDNET = (
    "18_released", "09_maps", "12_computation", "13_compensation", "14_frontier", "11_silence", "16_sensitivity", SECOND,
)  # fmt: skip
"""Notebooks that ask of SoundNet's own layers, filters and protocols, and have nothing to say of another network."""

WITHOUT: Mapping[str, Sequence[str]] = {"esc10": (), "esc50": (SECOND,)}
"""Data set -> notebooks that the book has not for it."""


def without(dataset: str, network: str | None = None) -> Sequence[str]:
    """Return the notebooks that are not run on a data set, with a network (None: SoundNet-8).

    What the second network says is kept of ESC-10 alone.
    """
    if network:
        return ABOUT_SOUNDNET
    return WITHOUT.get(dataset, (SECOND,))


def in_book() -> list[str]:
    """Return the data sets of `BOOK` that have committed results, without which there is no text to go with their pages."""
    reference = repository() / "results" / "reference"
    return [name for name in BOOK if any((reference / name).glob("*.json"))]


PARAMETERS: Mapping[str, Parameter] = {
    "dataset": Parameter(
        (str,),
        lambda value: bool(value.strip()),
        "the name of a data set, a folder with one subfolder per class, or a CSV or TSV table",
        f"Data set: {', '.join(DATASETS)}, a folder with one subfolder per class, or a CSV/TSV table",
    ),
    "root": Parameter(
        (str, NoneType),
        _none_or_text,
        "a folder or None",
        "Folder that holds the audio; None: $DHA_DATA, and without it the bundled artifacts",
    ),
    "network": Parameter(
        (str, NoneType),
        _none_or_text,
        "the name of a network, a function that makes one, such as 'my_network.py:build', or None",
        "Network: a name, or a function that makes one, my_network.py:build; None: SoundNet-8",
    ),
    "rate": Parameter(
        (int,), _is_rate, "a whole number in [8000, 192000]", "Sampling rate in Hz (SoundNet's own is 22050)"
    ),
    "rates": Parameter(
        (list, tuple),
        lambda values: len(values) > 0 and all(map(_is_rate, values)),
        "a list of whole numbers in [8000, 192000]",
        "Sampling rates in Hz that are compared",
    ),
    "fractions": Parameter(
        (list, tuple),
        lambda values: len(values) > 0 and all(_is_fraction(value) for value in values),
        "a list of numbers in (0, 1]",
        "Fractions of the maps kept per tap that are compared",
    ),
    "criteria_at": Parameter(
        (list, tuple),
        lambda values: all(_is_fraction(value) for value in values),
        "a list of numbers in (0, 1]",
        "Fractions of the maps kept at which all criteria are compared; empty: all fractions",
    ),
    "budgets": Parameter(
        (list, tuple),
        lambda values: len(values) > 0 and all(_is_fraction(value) for value in values),
        "a list of numbers in (0, 1]",
        "Fractions of the computation that smaller networks may take",
    ),
    "duration": Parameter(
        (int, float, NoneType),
        lambda value: value is None or 0 < value <= 3600,
        "a number in (0, 3600] or None",
        "Seconds that every clip is padded or cut to; None: 30 for DCASE-16, else 5",
    ),
    "channel": Parameter(
        (str,),
        lambda value: value in ("mean", "left", "right"),
        "'mean', 'left' or 'right'",
        "What clips of two channels are brought down to",
    ),
    "skip_bad": Parameter(
        (bool,),
        lambda value: True,
        "True or False",
        "Leave out clips that cannot be used, and list them in the results, instead of stopping",
    ),
    "keep": Parameter(
        (int, float), lambda value: 0 < value <= 1, "a number in (0, 1]", "Fraction of the maps kept per tap"
    ),
    "alpha": Parameter(
        (int, float), lambda value: 0 < value < 1, "a number in (0, 1)", "False discovery rate of the tests"
    ),
    "seeds": Parameter(
        (int,), lambda value: value >= 2, "a whole number >= 2", "Number of random repetitions"
    ),
    "other_seeds": Parameter(
        (int, NoneType),
        lambda value: value is None or value >= 2,
        "a whole number >= 2 or None",
        "Number of random repetitions with the classifiers that stand beside, but at the paper's fraction; None: as many",
    ),
    "classifier": Parameter(
        (str,),
        lambda value: value in CLASSIFIERS,
        "one of " + ", ".join(map(repr, CLASSIFIERS)),
        "Classifier of each tap",
    ),
    "others": Parameter(
        (list, tuple),
        lambda values: all(value in CLASSIFIERS for value in values),
        "a list of some of " + ", ".join(map(repr, CLASSIFIERS)),
        "Classifiers of each tap that stand beside",
    ),
    "only_claims": Parameter(
        (bool,),
        lambda value: True,
        "True or False",
        "Make only the smaller networks that the claim is asked of, and refit with one pull, which takes an hour less than all",
    ),
    "only_bundled": Parameter(
        (bool,),
        lambda value: True,
        "True or False",
        "Look only at the smaller networks that are bundled of the data set",
    ),
    "full": Parameter(
        (bool,),
        lambda value: True,
        "True or False",
        "Compute sweeps anew, also where they are bundled (an hour and a half)",
    ),
    "workers": Parameter(
        (int, NoneType),
        lambda value: value is None or value >= 1,
        "a whole number >= 1 or None",
        "Worker processes; None: one per core. Never changes a result",
    ),
    "scheduler": Parameter(
        (str, NoneType),
        _none_or_text,
        "the address of a Dask scheduler, such as 'tcp://node1:8786', 'local' or None",
        "Address of a Dask scheduler whose workers extract and sweep; None: this machine. Never changes a result",
    ),
    "results": Parameter(
        (str, NoneType),
        _none_or_text,
        "a folder or None",
        "Folder to write to; None: the repository's results/",
    ),
}

# Set in the notebook's globals by the first check: when the cell is run again by hand, the notebook's
# own variables are there too and cannot be told from injected ones.
_CHECKED = "_dha_parameters_checked"


def check_parameters(namespace: MutableMapping[str, object], names: Iterable[str]) -> SimpleNamespace:
    """Check a notebook's parameters; call it in the first cell after the parameters cell.

    Parameters
    ----------
    namespace : dict
        The notebook's ``globals()``. Right after the parameters cell it holds the parameters, modules,
        callables and IPython's own names, so anything else is a parameter that the notebook does not take.
    names : iterable of str
        The parameters that the notebook takes.

    Returns
    -------
    SimpleNamespace
        The checked values by name; whole numbers given for real ones are float.

    Raises
    ------
    ParameterError
        If a name is unknown or missing, or a value has the wrong type or is outside its limits.

    Examples
    --------
    >>> check_parameters({"keep": 1, "seeds": 20}, ["keep", "seeds"])
    namespace(keep=1.0, seeds=20)
    """
    names = list(names)
    if _CHECKED not in namespace:
        for name, value in namespace.items():
            ours = name in names or name.startswith("_") or name in ("In", "Out")
            if not ours and not callable(value) and not isinstance(value, ModuleType):
                choose("parameter", name, names)
    for name in names:
        if name not in namespace:
            raise ParameterError(f"parameter {name} is missing: set it in the cell tagged 'parameters'")
    checked = SimpleNamespace(**{name: check_value(name, namespace[name]) for name in names})
    namespace[_CHECKED] = True
    return checked


def check_value(name: str, value: object) -> object:
    """Return `value` if parameter `name` may have it, whole numbers as float where the parameter is real.

    Raises
    ------
    ParameterError
        If there is no such parameter, or the value has the wrong type or is outside its limits.
    """
    parameter = PARAMETERS[choose("parameter", name, PARAMETERS)]
    fits = isinstance(value, parameter.types) and isinstance(value, bool) == (bool in parameter.types)
    if not fits or not parameter.valid(value):
        hint = _as_number(value) if int in parameter.types else ""
        got = f"{reprlib.repr(value)} ({type(value).__name__})"
        raise ParameterError(f"parameter {name}: expected {parameter.expected}, got {got}{hint}")
    if float in parameter.types and value is not None:
        return float(value)
    return list(value) if list in parameter.types else value


def _as_number(value: object) -> str:
    """Say how a number that arrived as text is to be written (papermill's ``-p`` reads 1e-3 as text, a comma is none)."""
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("nan")
    except InvalidOperation:
        return point_hint(value)
    # The bound keeps '1e-999999' from being spelled out.
    return f": write {number:f}" if number.is_finite() and abs(number.adjusted()) < 20 else ""
