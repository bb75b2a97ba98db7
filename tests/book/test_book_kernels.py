import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from dha_utils.book.kernels import failure


def test_where_no_traceback_could_be_made_the_reason_is_what_was_printed(tmp_path):
    printed = "Traceback (most recent call last):\n  ...\nOSError: [Errno 24] Too many open files\n"
    cells = [
        new_code_cell(
            "1",
            metadata={"papermill": {"start_time": start}},
            outputs=[new_output("stream", name="stderr", text=text)],
        )
        for start, text in (("now", "fine"), ("now", printed), (None, "not run"))
    ]
    path = tmp_path / "01_x.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    assert str(failure(path, "CellExecutionError: ")) == (
        f"01_x.ipynb, cell In [2]: CellExecutionError: OSError: [Errno 24] Too many open files; the failed notebook is {path}"
    )
    assert "cell In [2]: ValueError: why; the" in str(failure(path, "ValueError:\n why"))
