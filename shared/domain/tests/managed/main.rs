//! What is done when a writer of Aurora or RDS fails: tables, pages, and walks through worlds cut short everywhere.

mod aurora;
mod kit;
mod pages;
mod person;
mod rds;
mod steady;
mod walk;
mod world;
