//! The comparison by its definitions, element by element, against the real one.
