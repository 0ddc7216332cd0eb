"""The pool to choose from: the rows of Z as methods see them, their spectrum, their whitening."""
