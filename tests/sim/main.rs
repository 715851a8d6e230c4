//! A whole cluster in one thread: the same code over a simulated network, disks and clocks.
//!
//! Trackers, groups of storage nodes, and clients that know some of the trackers. One seed decides
//! everything that happens: what clients ask, which messages are late or lost, who is killed, paused,
//! cut off, moved, drained or added, and what a power cut leaves of a disk. The same seed gives the same
//! history, event by event; a failure prints its seed.
//!
//! * `network` carries messages between hosts; `link` is the way between two nodes.
//! * `tracker` and `node` are the processes; `report` is what nodes tell trackers.
//! * `world` is all of them and the course of a history; `faults` is what goes wrong.
//! * `clients` and `operation` are what is asked; `check` is what must hold in the end.

#[cfg(test)]
mod check;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod link;
#[cfg(test)]
mod network;
#[cfg(test)]
mod node;
#[cfg(test)]
mod operation;
#[cfg(test)]
mod random;
#[cfg(test)]
mod report;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod tracker;
#[cfg(test)]
mod world;
