//! The assignment protocol (P1 to P17) against every order of things: the operator's and the agent's real cores, a model API server that
//! applies the very patches, and a world that crashes, stops, cuts and delays.
//!
//! `world` is the model, `ledger` the invariants, `without` the switches that take a rule away, `outline` counts states. Starts no process and opens no socket.

mod agent;
mod api;
mod bend;
mod clock;
mod crashes;
mod directed;
mod guest;
mod ledger;
mod network;
mod operator;
mod outline;
mod paths;
mod random;
mod tasks;
mod without;
mod world;
