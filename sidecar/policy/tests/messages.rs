//! The committed messages are what `proto/push.proto` says; `LLMCACHE_GENERATE=write` writes them (`make generate`).

use std::fs;
use std::path::Path;

#[test]
fn messages_are_those_of_the_proto_file() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile([here.join("proto/push.proto")], [here.join("proto")]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .skip_debug(["Credentials", "Qdrant", "Redis"])
        .out_dir(folder.path())
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)
        .unwrap();
    let made = fs::read_to_string(folder.path().join("llmcache.push.v1.rs")).unwrap();
    let committed = here.join("src/push/generated.rs");
    if std::env::var_os("LLMCACHE_GENERATE").is_some_and(|wanted| wanted == "write") {
        fs::write(&committed, made).unwrap();
        return;
    }
    let is_same = fs::read_to_string(&committed).is_ok_and(|committed| committed == made);
    assert!(
        is_same,
        "src/push/generated.rs is not what proto/push.proto says: run `make generate`"
    );
}
