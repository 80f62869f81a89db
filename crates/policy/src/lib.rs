//! Topic permissions: parse, validate, compile, decide, explain.
