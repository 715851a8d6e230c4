//! The real binary, seen from outside: packets, HTTP, processes, disks, other people's clients.

#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod api_crash;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod big_upload;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod cycle;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod image_host;
#[cfg(test)]
mod image_host_codes;
#[cfg(test)]
mod image_host_transport;
#[cfg(test)]
mod image_host_uploads;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod offline;
#[cfg(test)]
mod pan123;
#[cfg(test)]
mod pan123_clients;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod process;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod weiyun;
