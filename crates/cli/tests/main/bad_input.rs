//! What cannot be used is refused before any work, with words that name it and say what to do, exit code 2, and nothing
//! written.

use crate::material::{SIZE, crc32, mask, photo, realfill, scene};
use image::{Rgb, RgbImage};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use realfill_models::sd::{Preset, write_random_checkpoint};
use std::fs;
use std::path::Path;

const FORMATS: &str = "JPEG, PNG, WebP, TIFF, AVIF and BMP";

/// `fill` on a scene refuses, says every one of `words`, and leaves no output folder.
fn refuses(folder: &Path, options: &[&str], words: &[&str]) {
    let output = folder.join("out");
    let mut command = realfill();
    command
        .arg("fill")
        .arg(folder.join("scene"))
        .arg("--output")
        .arg(&output)
        .args(["--iterations", "0"])
        .args(options);
    let mut assert = command.assert().code(2);
    for word in words {
        assert = assert.stderr(contains(*word));
    }
    assert!(!output.exists(), "{} was made", output.display());
}

#[test]
fn a_missing_photo_is_named() {
    let folder = scene();
    let options = ["--mask", "m.png", "--reference", "r.png", "--output"];
    let output = folder.path().join("out");
    realfill()
        .args(["fill", "--target", "no-such-photo.jpg"])
        .args(options)
        .arg(&output)
        .assert()
        .code(2)
        .stderr(contains("no-such-photo.jpg"))
        .stderr(contains(FORMATS));
    assert!(!output.exists());
}

#[test]
fn a_missing_scene_says_what_a_scene_is() {
    let folder = scene();
    fs::remove_dir_all(folder.path().join("scene")).unwrap();
    refuses(folder.path(), &[], &["scene", "target/mask.*"]);
}

#[test]
fn a_folder_in_place_of_a_photo_is_unreadable() {
    let folder = scene();
    let target = folder.path().join("scene/target");
    realfill()
        .args(["fill", "--mask-from-alpha", "--reference", "r.png", "--target"])
        .arg(&target)
        .assert()
        .code(2)
        .stderr(contains(target.display().to_string()))
        .stderr(contains(FORMATS));
}

#[test]
fn a_truncated_photo_is_named_with_what_is_wrong() {
    let folder = scene();
    let path = folder.path().join("scene/ref/1.png");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refuses(folder.path(), &[], &["1.png", "cannot be decoded", FORMATS]);
}

#[test]
fn a_file_that_is_no_picture_is_named() {
    let folder = scene();
    fs::write(folder.path().join("scene/ref/1.png"), "this is a letter, not a picture").unwrap();
    refuses(folder.path(), &[], &["1.png", "not a picture", FORMATS]);
}

#[test]
fn a_mask_of_another_size_gives_both_sizes() {
    let folder = scene();
    mask((40, 30)).save(folder.path().join("scene/target/mask.png")).unwrap();
    refuses(folder.path(), &[], &["mask.png is 40×30", "target.png is 80×64"]);
}

#[test]
fn an_empty_and_a_full_mask_say_what_is_missing() {
    let folder = scene();
    for (value, words) in [(0, "nothing to fill"), (255, "nothing known")] {
        let plain = RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([value; 3]));
        plain.save(folder.path().join("scene/target/mask.png")).unwrap();
        refuses(folder.path(), &[], &["mask.png", words]);
    }
}

#[test]
fn a_photo_in_place_of_a_mask_says_what_to_paint() {
    let folder = scene();
    photo(SIZE, 3).save(folder.path().join("scene/target/mask.png")).unwrap();
    refuses(folder.path(), &[], &["mask.png is mostly grey", "paint what is missing white"]);
}

#[test]
fn an_opaque_target_has_no_hole_to_tell_by_transparency() {
    let folder = scene();
    refuses(folder.path(), &["--mask-from-alpha"], &["target.png has no transparent part"]);
}

#[test]
fn an_expansion_of_nothing_of_a_negative_or_of_too_much_gives_the_limit() {
    let folder = scene();
    for (options, words) in [
        (["--expand", "left=0"], "adds nothing to target.png, which is 80×64"),
        (["--expand", "left=-5px"], "left is -5px, and a side can only move outwards"),
        (["--expand", "left=301%"], "the canvas would be 321×64; the limit for target.png, which is 80×64, is 4 times"),
        (["--expand", "leftwards"], "write left=20%,top=300px"),
        (["--aspect", "5:4"], "adds nothing"),
        (["--aspect", "wide"], "write 16:9"),
        (["--canvas", "80x64+80+0"], "shows nothing of target.png"),
        (["--canvas", "80"], "write 3000x2000+400+0"),
    ] {
        refuses(folder.path(), &options, &[words]);
    }
}

#[test]
fn a_format_that_cannot_hold_the_photo_names_what_would_be_lost() {
    let folder = scene();
    let path = folder.path().join("scene/target/target.png");
    let deep = image::DynamicImage::from(photo(SIZE, 0)).to_rgba16();
    let thin = image::ImageBuffer::from_fn(SIZE.0, SIZE.1, |x, y| {
        let [r, g, b, _] = deep.get_pixel(x, y).0;
        image::Rgba([r, g, b, 40_000u16])
    });
    image::DynamicImage::from(thin).save(&path).unwrap();
    let model = crate::material::weights().display().to_string();
    let words = ["target.png has alpha and 16 bits a channel", "a Jpeg cannot hold", "--lossy-ok"];
    refuses(folder.path(), &["--model", &model, "--format", "jpeg"], &words);
    refuses(folder.path(), &["--model", &model, "--format", "webp"], &["16 bits a channel, which"]);
}

#[test]
fn a_format_whose_sides_are_too_short_is_refused_with_its_limit() {
    let folder = scene();
    let (target, size) = (folder.path().join("scene/target"), (16_385, 64));
    photo(size, 0).save(target.join("target.png")).unwrap();
    mask(size).save(target.join("mask.png")).unwrap();
    let model = crate::material::weights().display().to_string();
    let words = ["target.png completed would be 16385×64, and a WebP has at most 16384 pixels a side", "--format png"];
    let options = ["--model", model.as_str(), "--format", "webp", "--lossy-ok"];
    refuses(folder.path(), &options, &words);
    refuses(folder.path(), &options[..4], &words);
}

#[test]
fn a_target_without_a_hole_asks_for_one() {
    let folder = scene();
    let target = folder.path().join("scene/target/target.png");
    let mut command = realfill();
    command.args(["fill", "--reference", "r.png", "--target"]).arg(target);
    command.assert().code(2).stderr(contains("--mask"));
}

#[test]
fn nothing_at_all_asks_for_a_scene_or_a_target() {
    for name in ["fill", "sample"] {
        let told = realfill().arg(name).assert().code(2);
        let told = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
        let needed = told.lines().skip_while(|line| !line.contains("were not provided")).nth(1).unwrap_or_default();
        assert!(needed.contains("SCENE") && needed.contains("--target <PHOTO>"), "{told}");
        assert!(!needed.contains("--mask"), "{told}");
    }
    let both = ["fill", "my-scene", "--target", "photo.jpg", "--mask-from-alpha"];
    realfill().args(both).assert().code(2).stderr(contains("cannot be used with"));
}

#[test]
fn a_scene_without_references_says_how_many_are_needed() {
    let folder = scene();
    fs::remove_dir_all(folder.path().join("scene/ref")).unwrap();
    refuses(folder.path(), &[], &["no reference photos", "one to five photos of the same place"]);
}

#[test]
fn six_references_are_too_many() {
    let folder = scene();
    (2..6).for_each(|i| photo(SIZE, i).save(folder.path().join(format!("scene/ref/{i}.png"))).unwrap());
    refuses(folder.path(), &[], &["6 reference photos", "one to five"]);
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let folder = scene();
    let path = folder.path().join("scene/target/target.png");
    let mut bytes = fs::read(&path).unwrap();
    bytes[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let check = crc32(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&check);
    fs::write(&path, bytes).unwrap();
    refuses(folder.path(), &[], &["target.png is 30000×30000", "limit is 200"]);
}

#[test]
fn an_output_folder_that_cannot_be_made_is_an_error_before_the_work() {
    let folder = scene();
    let in_the_way = folder.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    realfill()
        .arg("fill")
        .arg(folder.path().join("scene"))
        .arg("--output")
        .arg(in_the_way.join("out"))
        .arg("--model")
        .arg(crate::material::weights())
        .assert()
        .code(2)
        .stderr(contains("cannot write into the folder"))
        .stderr(contains("name another output folder"));
}

#[test]
fn a_model_folder_without_its_parts_says_which() {
    let folder = scene();
    fs::create_dir(folder.path().join("model")).unwrap();
    let model = folder.path().join("model").display().to_string();
    refuses(folder.path(), &["--model", &model], &["unet/config.json", "diffusers layout"]);
}

#[test]
fn missing_and_extra_tensors_are_named() {
    let folder = scene();
    let model = folder.path().join("model");
    write_random_checkpoint(Preset::Tiny, &model, 1).unwrap();
    rename_tensor(&model.join("unet/diffusion_pytorch_model.safetensors"), "conv_out.bias", "conv_out.mist");
    let model = model.display().to_string();
    refuses(folder.path(), &["--model", &model], &["1 missing tensor: conv_out.bias", "1 extra tensor: conv_out.mist"]);
}

/// Changes a name in a safetensors header to another of the same length.
fn rename_tensor(path: &Path, from: &str, to: &str) {
    let mut bytes = fs::read(path).unwrap();
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("the tensor is there");
    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn weights_of_another_network_are_refused() {
    let folder = scene();
    let model = folder.path().join("model.safetensors");
    fs::write(&model, "no tensors").unwrap();
    let model = model.display().to_string();
    refuses(folder.path(), &["--model", &model], &["model.safetensors"]);
}

#[test]
fn a_checkpoint_in_one_file_says_how_to_convert_it() {
    let folder = scene();
    let header = r#"{"model.diffusion_model.out.2.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    for name in ["sd.safetensors", "sd.ckpt"] {
        let model = folder.path().join(name);
        fs::write(&model, &bytes).unwrap();
        let words = [name, "is a single-file checkpoint", "from_single_file", "give the folder"];
        refuses(folder.path(), &["--model", &model.display().to_string()], &words);
    }
    let model = folder.path().join("sd.safetensors");
    realfill().args(["models", "inspect"]).arg(model).assert().code(2).stderr(contains("is a single-file checkpoint"));
    let other = folder.path().join("other.bin");
    fs::write(&other, "words").unwrap();
    refuses(folder.path(), &["--model", &other.display().to_string()], &["other.bin: is a file; expected a folder"]);
}

#[test]
fn a_hub_id_without_network_says_how_to_give_a_folder() {
    let folder = scene();
    refuses(
        folder.path(),
        &["--model", "owner/inpainting"],
        &[
            "there is no folder owner/inpainting here, and owner/inpainting is not in the cache",
            "give a folder in the diffusers layout",
        ],
    );
}

#[test]
fn a_model_that_is_nothing_says_what_may_be_given() {
    let folder = scene();
    refuses(folder.path(), &["--model", "sd2"], &["there is no model `sd2`", "embedded", "hub id"]);
}

#[test]
fn a_device_that_is_not_there_lists_those_that_are() {
    let folder = scene();
    refuses(folder.path(), &["--device", "abacus"], &["`abacus`", "built in: cpu"]);
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_is_not_built_in_says_how_to_build_it() {
    let folder = scene();
    refuses(folder.path(), &["--device", "cuda"], &["`cuda` is not built in", "built in: cpu", "--features cuda"]);
}

#[test]
fn settings_out_of_range_and_unknown_ones_are_named() {
    let folder = scene();
    refuses(folder.path(), &["--candidates", "0"], &["candidates is 0", "from 1"]);
    refuses(folder.path(), &["--feather-px", "-1"], &["feather_px is -1; it must be from 0 to 1000"]);
    refuses(folder.path(), &["--candidates", "-1"], &["'-1' for '--candidates <N>'"]);
    let file = folder.path().join("settings.toml");
    fs::write(&file, "[tune]\niteration = 3").unwrap();
    let file = file.display().to_string();
    refuses(folder.path(), &["--config", &file], &["settings.toml", "iteration"]);
}

#[test]
fn too_few_photos_to_train_on_says_how_many() {
    let folder = scene();
    let output = folder.path().join("out");
    realfill()
        .args(["pretrain", "--photos"])
        .arg(folder.path().join("scene/ref"))
        .arg("--output")
        .arg(&output)
        .assert()
        .code(2)
        .stderr(contains("holds 2 photos; at least 32"));
    assert!(!output.exists());
}

#[test]
fn credentials_that_cannot_sign_are_refused_before_the_work() {
    let folder = scene();
    let identity = |name: &str| {
        let data = folder.path().join(name);
        realfill().args(["fill", "nowhere"]).env("REALFILL_DATA", &data).assert().code(2).stderr(contains("nowhere"));
        data.join("identity.pem").to_str().unwrap().to_owned()
    };
    let (mine, other) = (identity("mine"), identity("other"));
    let picture = folder.path().join("scene/target/target.png").to_str().unwrap().to_owned();
    let given = |certificate: &str, key: &str, words: &[&str]| {
        refuses(folder.path(), &["--sign-cert", certificate, "--sign-key", key], words);
    };
    given(&mine, &other, &["does not match the certificate"]);
    given(&picture, &mine, &["target.png", "PEM"]);
    given("nowhere.pem", &mine, &["cannot read nowhere.pem"]);
    refuses(folder.path(), &["--sign-cert", &mine], &["--sign-key"]);
}

#[test]
fn variables_say_who_signs_where_no_flag_does() {
    let refused = |variables: &[(&str, &str)], flags: &[&str], words: &str| {
        let mut command = realfill();
        command.args(["fill", "no-such-scene"]).args(flags).envs(variables.iter().copied());
        command.assert().code(2).stderr(contains(words));
    };
    let (certificate, key) = (("REALFILL_SIGN_CERT", "nowhere.pem"), ("REALFILL_SIGN_KEY", "nowhere.pem"));
    refused(&[certificate, key], &[], "cannot read nowhere.pem");
    refused(&[certificate], &[], "REALFILL_SIGN_KEY is set and the other is not");
    refused(&[certificate, key], &["--no-credentials"], "no-such-scene");
    refused(&[certificate, key, ("REALFILL_NO_CREDENTIALS", "1")], &[], "no-such-scene");
    refused(&[("REALFILL_NO_CREDENTIALS", "perhaps")], &[], "REALFILL_NO_CREDENTIALS is `perhaps`");
}

#[test]
fn a_photo_that_the_results_would_replace_is_refused_and_stays() {
    let folder = scene();
    let (photos, output) = (folder.path().join("scene"), folder.path().join("out"));
    fs::create_dir_all(output.join("candidates")).unwrap();
    let roles = [("--target", "target/target.png"), ("--mask", "target/mask.png"), ("--reference", "ref/0.png")];
    for (at, name) in ["completed.png", "fidelity.png", "candidates/001-7.png"].into_iter().enumerate() {
        let placed = output.join(name);
        fs::copy(photos.join(roles[at].1), &placed).unwrap();
        let before = fs::read(&placed).unwrap();
        let mut command = realfill();
        command.args(["fill", "--iterations", "0", "--model"]).arg(crate::material::weights());
        for (i, (flag, path)) in roles.iter().enumerate() {
            command.arg(flag).arg(if i == at { placed.clone() } else { photos.join(path) });
        }
        command.arg("--output").arg(photos.join("../out")); // the same folder by another name
        command.assert().code(2).stderr(contains(name)).stderr(contains("give another --output"));
        assert_eq!(fs::read(&placed).unwrap(), before, "{name} was changed");
        fs::remove_file(&placed).unwrap();
    }
}

#[test]
fn checkpoints_of_a_training_are_not_taken_for_a_jobs() {
    let folder = scene();
    let (output, state) = (folder.path().join("out"), folder.path().join("out/checkpoints/step-00000003/state.json"));
    fs::create_dir_all(state.parent().unwrap()).unwrap();
    fs::write(&state, "3").unwrap();
    let mut command = realfill();
    command.arg("fill").arg(folder.path().join("scene")).arg("--output").arg(&output);
    command.arg("--model").arg(crate::material::weights()).args(crate::material::SHORT).args(["--iterations", "1"]);
    command.assert().code(2).stderr(contains("checkpoints of something else than a job"));
    assert_eq!(fs::read_to_string(&state).unwrap(), "3");
}

#[test]
fn an_output_folder_that_another_run_works_in_is_refused() {
    let folder = scene();
    let output = folder.path().join("out");
    fs::create_dir(&output).unwrap();
    let other = fs::File::create(output.join(".realfill.lock")).unwrap();
    other.lock().unwrap();
    for name in ["fill", "tune"] {
        let mut command = realfill();
        command.arg(name).arg(folder.path().join("scene")).arg("--output").arg(&output);
        command.arg("--model").arg(crate::material::weights()).args(["--iterations", "1"]);
        command.assert().code(2).stderr(contains("another run works in")).stderr(contains("give another --output"));
    }
}

#[test]
fn a_file_that_is_no_trace_is_not_written_over_with_one() {
    let folder = scene();
    let letter = folder.path().join("letter.txt");
    fs::write(&letter, "dear").unwrap();
    refuses(folder.path(), &["--profile", letter.to_str().unwrap()], &["letter.txt is there and is no trace"]);
    assert_eq!(fs::read_to_string(&letter).unwrap(), "dear");
    let trace = folder.path().join("trace.json");
    refuses(folder.path(), &["--profile", trace.to_str().unwrap(), "--candidates", "0"], &["candidates is 0"]);
    assert!(!trace.exists(), "it was begun before the settings were checked");
}

#[test]
fn an_output_folder_given_as_the_adapter_is_told_from_one() {
    let folder = scene();
    fs::create_dir_all(folder.path().join("out/adapter")).unwrap();
    let mut command = realfill();
    command.arg("sample").arg(folder.path().join("scene")).arg("--adapter").arg(folder.path().join("out"));
    command.arg("--output").arg(folder.path().join("more")).arg("--model").arg(crate::material::weights());
    command.assert().code(2).stderr(contains("out holds no adapter itself; give ").and(contains("out/adapter, which")));
}

#[test]
fn more_candidates_are_not_drawn_over_the_results_beside_their_adapter() {
    let folder = scene();
    let (photos, output) = (folder.path().join("scene"), folder.path().join("out"));
    fs::create_dir_all(output.join("adapter")).unwrap();
    fs::write(output.join("completed.png"), "a picture").unwrap();
    let mut command = realfill();
    command.arg("sample").arg(&photos).arg("--adapter").arg(output.join("adapter"));
    command.arg("--output").arg(photos.join("../out")); // the same folder by another name
    command.assert().code(2).stderr(contains("replace the results beside").and(contains("give another --output")));
    assert_eq!(fs::read_to_string(output.join("completed.png")).unwrap(), "a picture");
}

#[test]
fn verify_refuses_what_is_no_picture() {
    let folder = scene();
    let words = folder.path().join("words.txt");
    fs::write(&words, "words").unwrap();
    realfill().arg("verify").arg(&words).assert().code(2).stderr(contains("words.txt is no picture"));
    realfill().args(["verify", "nowhere.jpg"]).assert().code(2).stderr(contains("nowhere.jpg"));
}
