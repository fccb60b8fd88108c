//! The build script of whatever links libduckdb: tells its programs where the library is when they run, which is where it
//! was when they were linked, or beside the program. Cargo hands such arguments on to no other package.

fn main() {
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    let is_unix = std::env::var_os("CARGO_CFG_UNIX").is_some();
    let Some(folder) = std::env::var_os("DUCKDB_LIB_DIR").filter(|folder| is_unix && !folder.is_empty()) else {
        return;
    };
    let is_apple = std::env::var_os("CARGO_CFG_TARGET_VENDOR").is_some_and(|vendor| vendor == "apple");
    let beside = if is_apple { "@loader_path" } else { "$ORIGIN" };
    for place in [folder.to_string_lossy().as_ref(), beside] {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{place}");
    }
}
