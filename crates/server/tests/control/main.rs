//! What operators ask for and what comes of it: stories on the stopped store and on a running broker.

mod documents;
mod running_broker;
mod site;
mod stopped_store;
