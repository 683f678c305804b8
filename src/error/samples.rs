//! One example of each variant of each error. A variant that is added does not compile here until it is listed, and a
//! listed one without an example fails the test.

use std::io;

use mlsm_data::{ClassId, DataError, ImageProblem, Part};
use mlsm_engine::{EngineError, GraphError, StageError};
use mlsm_errors::{Explanation, Fix};
use mlsm_nets::NetError;
use mlsm_pipelines::model_file::ModelFileError;
use mlsm_pipelines::support::SupportError;
use mlsm_pipelines::{AssembleError, Config, ConfigError};
use mlsm_store::{Digest, Finding, Fingerprint, Request, StoreError};

use super::CliError;

/// Lists every variant of an error type, and names the one of a value.
macro_rules! variants {
    ($name:ident: $type:ident { $($variant:ident),+ $(,)? }) => {
        pub mod $name {
            use super::$type;

            /// Every variant, in the order of its examples.
            pub const ALL: &[&str] = &[$(stringify!($variant)),+];

            /// Returns the variant of a value.
            pub fn of(value: &$type) -> &'static str {
                match value {
                    $($type::$variant { .. } => stringify!($variant)),+
                }
            }
        }
    };
}

variants!(store: StoreError {
    NotFound, LostFormat, Unwritable, Occupied, Busy, Stopped, NewerFormat, Damaged, DamagedDataset, DamagedTable,
    Missing, Full, NoRoom, Remote, Io,
});
variants!(finding: Finding {
    DamagedBlob, MissingBlob, DamagedManifest, DamagedIndex, DamagedCheckpoint, DamagedRun, DamagedUse, MissingRun,
    MissingManifest, DamagedStatCache, DamagedDataset, DamagedTables,
});
variants!(data: DataError {
    Malformed, Incomplete, NoDataset, ClassWithoutPhotos, Archive, OutsideRoot, AbsentPhotos, Image, Io, TooFewClasses,
    TooFewPhotos, UnknownSplit, UnknownPart, SplitLine, ClassInTwoParts, EmptySplit, Synthetic, NotEmpty, Invalid,
});
variants!(image: ImageProblem { Empty, NotAnImage, Unsupported, Truncated, TooLarge, Damaged });
variants!(nets: NetError {
    Missing, Unexpected, WrongShape, WrongKind, Shape, NoGraph, UnknownName, NotSafetensors, CannotWrite, BadPth,
    UnsafePth, DeviceAbsent, TorchAbsent, Torch,
});
variants!(engine: EngineError { Store, UnknownNode, Threads, Pending, MissingOutput });
variants!(graph: GraphError { TakenId, UnknownPort, WrongCount, UnknownOutput, Later });
variants!(stage: StageError { Cancelled, BadData, Setup, Busy, Store, Failed });
variants!(assemble: AssembleError { Config, Data, Store, Graph, Cancelled });
variants!(support: SupportError {
    Foreign, Damaged, Io, OtherProgram, OtherConfig, OtherWeights, MissingWeights, ReadsPixels, FromLabelled, NoClass,
    TooFewClasses,
});
variants!(model: ModelFileError { Foreign, Damaged, Io, NoModel, NotComputed });
variants!(cli: CliError {
    CheckFailed, Usage, BadData, Config, Assemble, Engine, Store, Data, Nodes, Busy, Cancelled, TimeOver, Panicked,
    Stdout,
});
variants!(fix: Fix {
    Words, Key, OtherStore, OtherDevice, AnyDevice, FewerThreads, OtherRow, Wait, FetchWeights, ListNodes, NewPlan,
    RedoUpstream, RepairStore,
});

fn digest() -> Digest {
    Digest::of(b"bytes")
}

fn fingerprint() -> Fingerprint {
    Request { stage: "crop".to_owned(), version: 1, recipe: Vec::new(), inputs: Vec::new() }.fingerprint()
}

fn refusal() -> io::Error {
    io::Error::other("the disk does not answer")
}

/// Every error of the store.
pub fn of_store() -> Vec<StoreError> {
    let path = || "/data/.mlsm".into();
    vec![
        StoreError::NotFound { path: path() },
        StoreError::LostFormat { path: path() },
        StoreError::Unwritable { path: path(), reason: "Read-only file system (os error 30)".to_owned() },
        StoreError::Occupied { path: path() },
        StoreError::Busy { what: "a run writes it".to_owned(), holder: "process 7 on host".to_owned() },
        StoreError::Stopped,
        StoreError::NewerFormat { path: path(), found: "9".to_owned(), expected: 1 },
        StoreError::Damaged { digest: digest(), path: "/data/.mlsm/quarantine/1".into() },
        StoreError::DamagedDataset {
            file: "/data/.mlsm/datasets/a/1.jpg".into(),
            path: "/data/.mlsm/quarantine/a".into(),
        },
        StoreError::DamagedTable { path: "/data/.mlsm/tables/runs/1/images.parquet".into() },
        StoreError::Missing { digest: digest() },
        StoreError::Full { path: "/data/.mlsm/staging/1".into() },
        StoreError::NoRoom { path: "/data/.mlsm/staging/1".into(), needed: 4096, free: 12 },
        StoreError::Remote {
            action: "read",
            url: "s3://bucket/mlsm".to_owned(),
            reason: "the connection was refused".to_owned(),
        },
        StoreError::Io { action: "read", path: "/data/.mlsm/index.jsonl".into(), source: refusal() },
    ]
}

/// Every finding of a verification.
pub fn findings() -> Vec<Finding> {
    let path = || "/data/.mlsm/a".into();
    vec![
        Finding::DamagedBlob { path: path() },
        Finding::MissingBlob { digest: digest(), manifest: path() },
        Finding::DamagedManifest { path: path() },
        Finding::DamagedIndex { path: path() },
        Finding::DamagedCheckpoint { path: path() },
        Finding::DamagedRun { path: path() },
        Finding::DamagedUse { path: path() },
        Finding::MissingRun { run_id: "run-1".to_owned(), path: path() },
        Finding::MissingManifest { fingerprint: fingerprint(), run_id: "run-1".to_owned() },
        Finding::DamagedStatCache { path: path() },
        Finding::DamagedDataset { path: path(), file: "/data/.mlsm/a/1.jpg".into() },
        Finding::DamagedTables { path: path(), file: "/data/.mlsm/a/images.parquet".into() },
    ]
}

/// Every error of the data.
pub fn of_data() -> Vec<DataError> {
    let path = || "/birds".into();
    let why = || "classes.txt lists 2 of 3 classes".to_owned();
    vec![
        DataError::Malformed {
            path: "/birds/images.txt".into(),
            line: 3,
            why: "it has 1 field, expected 2".to_owned(),
        },
        DataError::Incomplete { path: "/birds/classes.txt".into(), why: why() },
        DataError::NoDataset { path: path(), why: "there is no such folder".to_owned(), fix: "correct the path" },
        DataError::ClassWithoutPhotos {
            path: path(),
            class: "owl".to_owned(),
            why: "1.jpg is left out: a link".to_owned(),
        },
        DataError::Archive { path: "/birds.tgz".into(), why: "a is a link".to_owned(), fix: "pack it again" },
        DataError::OutsideRoot { path: "/birds/images.txt".into(), line: 2, listed: "../a.jpg".to_owned() },
        DataError::AbsentPhotos { images_root: path(), absent: 2, listed: 9, first: "owl/1.jpg".to_owned() },
        DataError::Image { path: "owl/1.jpg".to_owned(), problem: ImageProblem::Empty },
        DataError::Io { action: "read", path: path(), source: refusal() },
        DataError::TooFewClasses { have: 3, need: 5 },
        DataError::TooFewPhotos { class_id: ClassId(12), have: 9, need: 20 },
        DataError::UnknownSplit { name: "cub".to_owned(), known: "sfa, frn".to_owned() },
        DataError::UnknownPart { word: "test".to_owned() },
        DataError::SplitLine { line: 4, why: "`2` is not `class part`".to_owned() },
        DataError::ClassInTwoParts { class: "7".to_owned(), first: Part::Base, second: Part::Val },
        DataError::EmptySplit { why: "it names 200 classes, and the dataset has others".to_owned() },
        DataError::Synthetic { problem: "size_px is below 16" },
        DataError::NotEmpty { path: path() },
        DataError::invalid("evaluate.n_way", "it is 1", "give at least 2"),
    ]
}

/// Everything that can be wrong with a photo.
pub fn of_images() -> Vec<ImageProblem> {
    vec![
        ImageProblem::Empty,
        ImageProblem::NotAnImage { starts_with: "<html>".to_owned() },
        ImageProblem::Unsupported { format: "HEIC".to_owned() },
        ImageProblem::Truncated,
        ImageProblem::TooLarge { width: 30_000, height: 30_000 },
        ImageProblem::Damaged { detail: "no Huffman table".to_owned() },
    ]
}

/// Every error of nets and weights.
pub fn of_nets() -> Vec<NetError> {
    let name = || "block1.conv.weight".to_owned();
    let source = || safetensors::SafeTensors::deserialize(b"").expect_err("no bytes are no file");
    vec![
        NetError::Missing { name: name() },
        NetError::Unexpected { name: name() },
        NetError::WrongShape { name: name(), expected: vec![64, 3], found: vec![32, 3] },
        NetError::WrongKind { name: name(), expected: "f32", found: "I8".to_owned() },
        NetError::Shape { what: "the list of classes", expected: "[4]".to_owned(), found: vec![3] },
        NetError::NoGraph,
        NetError::UnknownName { what: "backbone", given: "vgg".to_owned(), known: "conv4, resnet12" },
        NetError::NotSafetensors { source: source() },
        NetError::CannotWrite { source: source() },
        NetError::BadPth { why: "neither a zip nor a pickle".to_owned() },
        NetError::UnsafePth { global: "os.system".to_owned() },
        NetError::DeviceAbsent { device: "cuda:9".to_owned(), why: "CUDA is there, with 1 card".to_owned() },
        NetError::TorchAbsent { why: "libmlsm_torch.so: no such file".to_owned() },
        NetError::Torch(mlsm_nets::tch::TchError::Torch("mat1 and mat2 do not fit\nframe #0: at::native".to_owned())),
    ]
}

/// Every error of planning and running.
pub fn of_engine() -> Vec<EngineError> {
    let unit = || "crop 001".to_owned();
    let source = io::Error::from_raw_os_error(11); // EAGAIN
    vec![
        EngineError::Store(StoreError::Full { path: "/data/.mlsm/staging/1".into() }),
        EngineError::UnknownNode { name: "corp".to_owned(), known: vec!["ingest".to_owned(), "crop".to_owned()] },
        EngineError::Threads { threads: 4_000, source },
        EngineError::Pending { unit: unit() },
        EngineError::MissingOutput { unit: unit(), output: "cam".to_owned(), fingerprint: fingerprint() },
    ]
}

/// Every error of a graph.
pub fn of_graphs() -> Vec<GraphError> {
    let unit = || "crop 001".to_owned();
    vec![
        GraphError::TakenId("crop".to_owned()),
        GraphError::UnknownPort { unit: unit(), port: "maps".to_owned(), known: vec!["cam", "boxes"] },
        GraphError::WrongCount { unit: unit(), port: "cam", found: 2 },
        GraphError::UnknownOutput { unit: unit(), output: "cma", upstream: "locate".to_owned(), known: vec!["cam"] },
        GraphError::Later { unit: unit(), output: "cam" },
    ]
}

/// Every error of a stage.
pub fn of_stages() -> Vec<StageError> {
    let unreadable =
        |photo: &str| Explanation::new(format!("cannot decode photo {photo}")).because("the file is empty");
    let both = unreadable("a.jpg").and(unreadable("b.jpg")).fix("replace or remove them");
    let foreign = Explanation::new("crop 001 was made on cpu").because("only artifacts made on cuda are accepted");
    vec![
        StageError::Cancelled,
        StageError::BadData(both.fix(Fix::set("data.on_bad_image", "\"skip\""))),
        StageError::Setup(foreign.fix(Fix::AnyDevice).fix(Fix::OtherStore)),
        StageError::Busy("process 7 on host".to_owned()),
        StageError::Store(StoreError::Missing { digest: digest() }),
        StageError::defect("crop was given no input `cam`"),
    ]
}

/// Every kind of refused configuration.
pub fn of_configs() -> Vec<ConfigError> {
    let texts = [
        "[evaluate]\nepisods = 3",
        "[data]\non_bad_image = 'skp'",
        "[evaluate]\nepisodes = 'many'",
        "[meta-train.mlsm]\nembedding = 'cnov'\n[train-base.conv]",
    ];
    let refused = |text: &str| Config::from_table(text.parse().expect("it is TOML")).expect_err(text);
    texts.map(refused).into()
}

/// Every error of assembling.
pub fn of_assembly() -> Vec<AssembleError> {
    let store = "/my data/.mlsm".into();
    let fetch = Fix::FetchWeights { name: "efficientnet-lite0".to_owned(), store };
    let weights = Explanation::new("weights `efficientnet-lite0` are missing").because("they are not in this store");
    let classes = Explanation::new("there are no base classes").because("the split leaves them empty");
    vec![
        AssembleError::Config(weights.fix(fetch)),
        AssembleError::Data(classes.fix(Fix::other("splits.rule"))),
        AssembleError::Store(StoreError::Stopped),
        AssembleError::Graph(GraphError::TakenId("crop".to_owned())),
        AssembleError::Cancelled,
    ]
}

/// Every error of a support file.
pub fn of_supports() -> Vec<SupportError> {
    let path = || "/my data/birds.support".into();
    let weights = || "efficientnet-lite0".to_owned();
    let known = vec!["owl".to_owned(), "wren".to_owned()];
    vec![
        SupportError::Foreign { path: path() },
        SupportError::Damaged { path: path(), why: "its bytes are not those whose digest it names".to_owned() },
        SupportError::Io { path: path(), source: refusal() },
        SupportError::OtherProgram {
            path: path(),
            why: "extract:conv image has version 1 in it and 2 here".to_owned(),
        },
        SupportError::OtherConfig { path: path(), why: "`seed` is 0 in it and 1 here".to_owned() },
        SupportError::OtherWeights { path: path(), name: weights(), expected: digest(), found: Digest::of(b"others") },
        SupportError::MissingWeights { path: path(), name: weights(), store: "/data/.mlsm".into() },
        SupportError::ReadsPixels { row: "pixels".to_owned() },
        SupportError::FromLabelled { path: path(), node: "train-base:conv".to_owned() },
        SupportError::NoClass { path: path(), name: "kite".to_owned(), known },
        SupportError::TooFewClasses { path: path(), remain: 1 },
    ]
}

/// Every error of a model file.
pub fn of_models() -> Vec<ModelFileError> {
    let path = || "/my data/conv.mlsm".into();
    vec![
        ModelFileError::Foreign { path: path() },
        ModelFileError::Damaged { path: path(), why: "its tensors are not those that it lists".to_owned() },
        ModelFileError::Io { path: path(), source: refusal() },
        ModelFileError::NoModel { node: "crop".to_owned() },
        ModelFileError::NotComputed { node: "train-base:conv".to_owned() },
    ]
}

/// Every way in which a command ends badly.
pub fn of_commands() -> Vec<CliError> {
    let config = of_configs().pop().expect("there are some");
    vec![
        CliError::CheckFailed,
        CliError::usage("no run `x`", "the store's log does not have it", "`mlsm runs` lists them"),
        CliError::BadData(Explanation::new("2 of 9 photos cannot be used").because("a.jpg: empty").fix("mend them")),
        CliError::Config(config),
        CliError::Assemble(AssembleError::Cancelled),
        CliError::Engine(EngineError::Pending { unit: "crop 001".to_owned() }),
        CliError::Store(StoreError::Full { path: "/data/.mlsm/staging/1".into() }),
        CliError::Data(DataError::TooFewClasses { have: 3, need: 5 }),
        CliError::Nodes(vec![
            ("crop".to_owned(), StageError::Failed("no map is left".into())),
            ("extract".to_owned(), StageError::Busy("process 7 on host".to_owned())),
        ]),
        CliError::Busy,
        CliError::Cancelled,
        CliError::TimeOver,
        CliError::Panicked,
        CliError::Stdout(io::Error::from(io::ErrorKind::StorageFull)),
    ]
}

/// Everything that helps.
pub fn fixes() -> Vec<Fix> {
    vec![
        "copy the file again".into(),
        Fix::set("data.path", "FOLDER"),
        Fix::OtherStore,
        Fix::OtherDevice,
        Fix::AnyDevice,
        Fix::FewerThreads,
        Fix::OtherRow { such_as: "cl2n" },
        Fix::Wait,
        Fix::FetchWeights { name: "efficientnet-lite0".to_owned(), store: "/it's here".into() },
        Fix::ListNodes,
        Fix::NewPlan,
        Fix::RedoUpstream,
        Fix::RepairStore { then: "then run again" },
    ]
}
