"""From notebooks to the book: parameters, what a notebook begins with, the runner, the pages, the check."""
