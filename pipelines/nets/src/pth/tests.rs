//! Both layouts against what PyTorch saved, and files made to harm.

use mlsm_errors::Explain;

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A file in the old layout whose content is `program`, without data.
fn legacy(program: &[u8]) -> Vec<u8> {
    let head = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    [&head[..], program, b"\x80\x02]."].concat()
}

fn refused(program: &[u8]) -> NetError {
    read_pth(&legacy(program)).unwrap_err()
}

/// A program that builds one tensor over storage "0" of float, with the given offset, size and stride pickled.
fn tensor_program(offset: &[u8], size: &[u8], stride: &[u8]) -> Vec<u8> {
    let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04NtQ";
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n(";
    [b"}X\x01\x00\x00\x00w", &call[..], storage, offset, size, stride, b"\x89NtRs."].concat()
}

/// The program above with four floats behind it.
fn with_four_floats(program: &[u8]) -> Vec<u8> {
    let mut file = legacy(program);
    file.truncate(file.len() - 4);
    file.extend(b"\x80\x02]X\x01\x00\x00\x000a.");
    file.extend(4u64.to_le_bytes());
    file.extend([1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()));
    file
}

#[test]
fn both_layouts_hold_what_pytorch_saved() {
    for name in ["zip.pth", "legacy.pth"] {
        let state = read_pth(&fixture(name)).unwrap();
        let flat: Vec<f32> = (0..24).map(|value| value as f32).collect();
        let eighths = flat.iter().map(|value| value / 8.0).collect();
        let transposed = (0..24).map(|index| flat[(index % 4) * 6 + index / 4]).collect();
        let expected: [(&str, &[usize], Vec<f32>); 13] = [
            ("float", &[4, 6], eighths),
            ("transposed", &[6, 4], transposed),
            ("view", &[6], flat[5..11].to_vec()),
            ("scalar", &[], vec![7.5]),
            ("empty", &[0, 3], vec![]),
            ("double", &[2], vec![1.5, -2.25]),
            ("half", &[2], vec![0.5, -3.0]),
            ("bfloat", &[2], vec![0.25, 96.0]),
            ("long", &[2], vec![3.0, -4.0]),
            ("int", &[2], vec![5.0, -6.0]),
            ("byte", &[2], vec![0.0, 255.0]),
            ("bool", &[2], vec![1.0, 0.0]),
            ("parameter", &[2], vec![1.0, 2.0]),
        ];
        assert_eq!(state.len(), expected.len(), "{name}");
        for (key, shape, values) in expected {
            assert_eq!(state[key], (shape.to_vec(), values), "{name}: {key}");
        }
    }
}

#[test]
fn a_state_dict_below_the_root_is_found() {
    let state = read_pth(&fixture("nested.pth")).unwrap();
    assert_eq!(state["weight"], (vec![2], vec![1.0, 1.0]));
    assert_eq!(state["num_batches_tracked"], (vec![], vec![0.0]));
}

#[test]
fn a_call_of_a_system_command_is_refused_by_name() {
    let old = refused(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.");
    assert!(matches!(&old, NetError::UnsafePth { global } if global == "os.system"), "{old}");
    let new = refused(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.");
    assert!(matches!(&new, NetError::UnsafePth { global } if global == "posix.system"), "{new}");
    for name in
        [&b"builtins\neval"[..], b"torch\nload", b"torch._utils\n_rebuild_qtensor", b"collections\nOrderedDict.x"]
    {
        let program = [&b"\x80\x02c"[..], name, b"\n."].concat();
        assert!(matches!(refused(&program), NetError::UnsafePth { .. }));
    }
}

#[test]
fn a_long_name_makes_no_long_message() {
    let name = "x".repeat(100_000);
    let call = refused(format!("c{name}\nsystem\n.").as_bytes());
    assert!(matches!(&call, NetError::UnsafePth { global } if global.len() < 1000), "{}", call.explain());
    let pth = zipped(&("é".repeat(30_000) + ".pth"), b"PK\x03\x04");
    let error = read_pth(&pth).unwrap_err().explain().to_string();
    assert!(error.len() < 1000, "{} bytes", error.len());
}

#[test]
fn instructions_that_no_state_dict_needs_are_refused() {
    // INST, OBJ, NEWOBJ, EXT1, LONG text, PERSID
    for program in [&b"(ios\nsystem\n."[..], b"(o.", b"\x81.", b"\x82\x01.", b"L5L\n.", b"Px\n."] {
        assert!(matches!(refused(program), NetError::BadPth { .. }));
    }
}

#[test]
fn a_tensor_must_lie_within_its_storage() {
    let read =
        |offset: &[u8], size: &[u8], stride: &[u8]| read_pth(&with_four_floats(&tensor_program(offset, size, stride)));
    assert_eq!(read(b"K\x00", b"K\x02K\x02\x86", b"K\x02K\x01\x86").unwrap()["w"].1, [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(read(b"K\x03", b"K\x01\x85", b"K\x01\x85").unwrap()["w"].1, [4.0]);
    let huge = b"J\xff\xff\xff\x7f";
    let many = [&huge[..], huge, huge, b"\x87"].concat();
    type Case<'a> = (&'a [u8], &'a [u8], &'a [u8], &'a str);
    let bad: [Case<'_>; 7] = [
        (b"K\x01", b"K\x04\x85", b"K\x01\x85", "beyond"),
        (b"J\xff\xff\xff\xff", b"K\x01\x85", b"K\x01\x85", "negative"),
        (b"K\x00", b"J\xff\xff\xff\xff\x85", b"K\x01\x85", "negative"),
        (b"K\x00", b"K\x02\x85", b"J\xff\xff\xff\x7f\x85", "beyond"),
        (b"K\x00", b"K\x02K\x02\x86", b"K\x01\x85", "strides"),
        (b"K\x00", &many, b"K\x00K\x00K\x00\x87", "too large"),
        (b"K\x00", b"J\xff\xff\xff\x7f\x85", b"K\x00\x85", "values in all"),
    ];
    for (offset, size, stride, word) in bad {
        let error = read(offset, size, stride).unwrap_err().explain().to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// A program that names storage "0" of float and keeps the tensor of these sides and strides as value 1.
fn kept_tensor(sides: &[u8], strides: &[u8]) -> Vec<u8> {
    let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04NtQ";
    [b"ctorch._utils\n_rebuild_tensor_v2\n(", &storage[..], b"K\x00", sides, strides, b"\x89NtRq\x01"].concat()
}

#[test]
fn what_is_claimed_or_said_again_takes_no_more_memory_than_the_file() {
    let claimed = tensor_program(b"K\x00", b"J\x00\x00\x00\x01\x85", b"K\x00\x85"); // 16 million times one value
    let error = read_pth(&with_four_floats(&claimed)).unwrap_err().explain().to_string();
    assert!(error.contains("values in all"), "{error}");

    let many = [&b"("[..], &b"K\x01".repeat(100), b"t"].concat();
    let deep = [&b"}"[..], b"X\x01\x00\x00\x00w", &kept_tensor(&many, &many), b"s."].concat();
    let error = read_pth(&with_four_floats(&deep)).unwrap_err().explain().to_string();
    assert!(error.contains("100 sides"), "{error}");

    // A list of a million, made a parameter again and again: each would be a copy.
    let list = [&b"Nq\x00]("[..], &b"h\x00".repeat(1_000_000), b"eq\x02"].concat();
    let again = b"ctorch._utils\n_rebuild_parameter\nh\x02\x85R".repeat(1000);
    let error = refused(&[&list[..], &again, b"."].concat()).explain().to_string();
    assert!(error.contains("calls something"), "{error}");

    // The same long key of many storages, and the same long name of many tensors.
    let long = [&b"X\x00\x00\x10\x00"[..], &vec![b'x'; 1 << 20], b"q\x03"].concat();
    let storage = [b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n", &long[..], b"NNtq\x04"].concat();
    let keys = [&storage[..], &b"h\x04Q0".repeat(100_000), b"."].concat();
    assert!(refused(&keys).explain().to_string().contains("key of a storage"));
    let tensor = kept_tensor(b"K\x04\x85", b"K\x01\x85");
    let names = [&b"}"[..], &long, &tensor, b"00(", &b"h\x03h\x01".repeat(100_000), b"u."].concat();
    let error = read_pth(&with_four_floats(&names)).unwrap_err().explain().to_string();
    assert!(error.contains("name of a tensor"), "{error}");
}

/// A zip of one file.
fn zipped(name: &str, content: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::FileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, content).unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn a_zip_that_unpacks_to_far_more_than_itself_or_holds_zips_in_zips_is_refused() {
    let bomb = zipped("a/data.pkl", &vec![b'('; 65 << 20]);
    let error = read_pth(&bomb).unwrap_err().explain().to_string();
    assert!(error.contains("unpacks to more than"), "{error}");

    let once = zipped("a.pth", &fixture("zip.pth"));
    assert_eq!(read_pth(&once).unwrap().len(), 13);
    assert_eq!(read_pth(&zipped("a.pth", &fixture("legacy.pth"))).unwrap().len(), 13);
    let error = read_pth(&zipped("a.pth", &once)).unwrap_err().explain().to_string();
    assert!(error.contains("no data.pkl"), "{error}");
}

#[test]
fn nesting_cycles_and_unbalanced_stacks_are_harmless() {
    let mut deep = b"N".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 1_000_000));
    deep.push(b'.');
    assert!(matches!(refused(&deep), NetError::BadPth { .. }));
    assert!(matches!(refused(b"]q\x00h\x00a."), NetError::BadPth { .. })); // a list that holds itself
    for program in
        [&b"."[..], b"0.", b"(.", b"t.", b"h\x05.", b"N\x85\x86.", b"Na.", b"(Na.", b"}NNs.", b"}(Nu.", b"NR.", b"NQ."]
    {
        assert!(matches!(refused(program), NetError::BadPth { .. }));
    }
}

#[test]
fn cut_or_foreign_files_are_errors() {
    for name in ["zip.pth", "legacy.pth"] {
        let whole = fixture(name);
        for length in 0..whole.len() {
            assert!(read_pth(&whole[..length]).is_err(), "{name} cut to {length} bytes");
        }
    }
    assert!(read_pth(b"\x80\x02N.").unwrap_err().explain().to_string().contains("neither a zip nor"));
}

#[test]
fn flipped_bytes_never_crash_the_reader() {
    for name in ["zip.pth", "legacy.pth"] {
        let whole = fixture(name);
        for index in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[index] ^= 0x5a;
            let _ = read_pth(&damaged);
        }
    }
}
