//! The routing core: one shard of sessions, subscriptions, retained messages and wills, without IO.
