//! Embeds the migrations anew when one is added: the macro only notices changes within those it has seen.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations/sqlite");
}
