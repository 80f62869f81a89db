//! Carries out what operators ask for, on the store of a stopped or of a running broker.

use crate::{
    control::{CallError, Refusal, Request, Response},
    home::Home,
};

/// Executes requests on the registry, the configuration and the rule files.
pub struct Admin {}

/// Reaches an installation: through the control socket if a broker runs there, else on its stopped store.
pub enum Operator {
    /// A broker runs.
    Running(crate::control::Client),
    /// No broker runs; this process holds the store.
    Stopped(Box<Admin>),
}

/// Holds what opening a stopped store can need.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// The file with the passphrase that opens the issuing keys.
    pub passphrase_file: Option<std::path::PathBuf>,
}

/// Opens the stopped store of `home`. The store is held until the value is dropped.
///
/// # Errors
/// [`Refusal`] if there is no installation, another process holds it, or it cannot be read.
pub fn open_stopped(home: &Home, options: &OpenOptions) -> Result<Admin, Refusal> {
    todo!()
}

/// Reaches the installation in `home`, whether a broker runs there or not.
///
/// # Errors
/// [`CallError`] if neither way is open.
pub fn open(home: &Home, options: &OpenOptions) -> Result<Operator, CallError> {
    todo!()
}

impl Admin {
    /// Carries `request` out; when it returns, the change is durable and, with a running broker, in force.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was changed then.
    pub fn execute(&mut self, request: Request) -> Result<Response, Refusal> {
        todo!()
    }
}

impl Operator {
    /// Carries `request` out, here or in the running broker.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, request: Request) -> Result<Response, CallError> {
        match self {
            Self::Running(client) => client.call(&request),
            Self::Stopped(admin) => admin.execute(request).map_err(CallError::Refused),
        }
    }
}
