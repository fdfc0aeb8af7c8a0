//! What a caller wants of a proc. No unit strings, no handles.
