//! An MQTT client that drives the sans-IO connection over TCP and TLS.
