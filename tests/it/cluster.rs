//! Clusters of real processes: what was acknowledged stays, whatever is killed, paused, cut off,
//! wiped or restarted meanwhile.

mod anywhere;
mod api;
mod behind;
mod blackout;
mod console;
mod few;
mod full;
mod harness;
mod load;
mod lost_disk;
mod member;
mod membership;
mod namespaces;
mod process;
mod proxy;
mod rolling;
mod steady;
mod storm;
mod tls;
mod uploader;
mod wiped;
