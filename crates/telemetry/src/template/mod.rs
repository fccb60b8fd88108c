//! Log templates: a body with its variable parts replaced by `<*>`, mined from the bodies themselves.
//!
//! The method is Drain (P. He, J. Zhu, Z. Zheng, M. R. Lyu: "Drain: An Online Log Parsing Approach with Fixed Depth
//! Tree", ICWS 2017), with four changes:
//!
//! - A body is masked before it is compared, and most masked bodies are the text of a template: those need one hash.
//! - Lines are compared word by word if all that is not a word (delimiters, and the names of `name=value`) is the same.
//! - A line that a template covers goes there whatever the similarity. So each line has its template for ever, and the
//!   texts alone are the state of a miner: one that [learns](Miner::learn) them goes on as if it had never stopped.
//! - A template that another one covers is [`Retired`]: miners that learn each other's texts come to hold the same ones.
//!
//! What the masks replace: numbers with sign and unit, hexadecimal numbers, UUIDs, IP addresses with their port, e-mail
//! addresses, URLs, paths, time stamps, and the part with digits of words like `worker-12` (`worker-<*>`), `user7`
//! (`user<*>`) or `7f9c` (`<*>`). A `<*>` takes in another one from which only one of `. , - + : / _` parts it, and so
//! do the items of a list like `[1, 2]`. Delimiters stay; white space of any kind and length is one space.
//!
//! ```
//! use tallybook_telemetry::template::{Change, Miner, MinerOptions, Scratch};
//!
//! let mut miner = Miner::new(MinerOptions::default());
//! let mut scratch = Scratch::default();
//! let routed = miner.route("user=42, took 15ms; path=/a/b", &mut scratch);
//! assert_eq!(&**miner.template(routed.id), "user=<*>, took <*>; path=<*>");
//! assert_eq!(miner.route("user=7, took 2.5s; path=/c", &mut scratch).change, Change::Known);
//! ```

mod bytes;
mod kinds;
mod mask;
mod miner;
mod pattern;
mod segments;
#[cfg(test)]
mod tests;
mod timestamp;
mod tree;
mod words;

pub use miner::{Change, Learnt, Miner, MinerOptions, Retired, Routed, Scratch, TemplateId};
