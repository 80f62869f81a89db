//! The ledger, the registry, the authorities and the credentials of one installation.
