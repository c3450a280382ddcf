//! The language, its errors, the short form and the ready-made classes, on requests.

mod any_text;
mod captures;
mod docs;
mod errors;
mod kea;
mod language;
mod ready;
mod short;
