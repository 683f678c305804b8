//! A support file as bytes: rows and weights as tensors that other programs open, the rest as JSON beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mlsm_data::{ClassId, ImageId, OwnPhotos};
use mlsm_store::Digest;

use super::rows::Rows;
use super::{About, FORMAT, Support, SupportError, Whole};
use crate::kept_file::{self, Unread, Values};

const KIND: &str = "support";
/// The tensors that name base photos and their classes.
const BASE: [&str; 2] = ["base/image_id", "base/class_id"];

impl Support {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// [`SupportError`]: it is something else, damaged, or made by another version of the program.
    pub fn read(path: &Path) -> Result<Self, SupportError> {
        let path = path.to_owned();
        let bytes = std::fs::read(&path).map_err(|source| SupportError::Io { path: path.clone(), source })?;
        Self::of_bytes(path, &bytes)
    }

    /// Reads what [`Support::to_bytes`] laid out.
    pub(super) fn of_bytes(path: PathBuf, bytes: &[u8]) -> Result<Self, SupportError> {
        let damaged = |why: &str| SupportError::Damaged { path: path.clone(), why: why.to_owned() };
        let (about, arrays) = kept_file::read(KIND, bytes).map_err(|unread| match unread {
            Unread::Foreign => SupportError::Foreign { path: path.clone() },
            Unread::Damaged => damaged("its bytes are not those whose digest it names"),
        })?;
        let format = about["format"].as_u64().unwrap_or_default();
        if format != u64::from(FORMAT) {
            let why = format!("its form is {format}, this program reads form {FORMAT}");
            return Err(SupportError::OtherProgram { path, why });
        }
        let about: About = serde_json::from_value(about).map_err(|e| damaged(&e.to_string()))?;
        if !about.fits_together() {
            return Err(damaged("its classes and photos do not fit together"));
        }
        let support = Self::of_arrays(path.clone(), about, arrays);
        support.ok_or_else(|| damaged("its tensors are not those that it lists"))
    }

    fn of_arrays(path: PathBuf, about: About, mut arrays: BTreeMap<String, Values>) -> Option<Self> {
        let [ids, classes] = BASE.map(|name| arrays.remove(name).map_or_else(Vec::new, |values| values.to_ids()));
        let id = |id: &i64| u32::try_from(*id).ok();
        let base = ids.iter().zip(&classes).map(|(image, class)| Some((ImageId(id(image)?), ClassId(id(class)?))));
        let base = base.collect::<Option<_>>()?;
        let mut wholes = Vec::new();
        for whole in &about.wholes {
            wholes.push(match whole.weights {
                Some(_) => None,
                None => Some(whole.take(&mut arrays)?),
            });
        }
        let mut tables = BTreeMap::<[String; 3], BTreeMap<String, Values>>::new();
        for (name, values) in arrays {
            let [node, aspect, output, array] = split(&name)?;
            tables.entry([node, aspect, output]).or_default().insert(array, values);
        }
        let mut rows = BTreeMap::new();
        for (key, arrays) in tables {
            let mut table = Rows::default();
            table.add_arrays(arrays)?;
            rows.insert(key, table);
        }
        Some(Self { path, about, rows, wholes, base })
    }

    /// Lays the file out.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut arrays = BTreeMap::new();
        let every: BTreeSet<i64> = self.rows.values().flat_map(Rows::photos).collect();
        for ([node, aspect, output], rows) in &self.rows {
            let named = rows.arrays(&every).into_iter();
            arrays.extend(named.map(|(array, values)| (format!("{node}/{aspect}/{output}/{array}"), values)));
        }
        for (whole, bytes) in self.about.wholes.iter().zip(&self.wholes) {
            let tensors = bytes.iter().flat_map(|bytes| kept_file::arrays(bytes).unwrap_or_default());
            arrays.extend(tensors.map(|(name, values)| (whole.prefix() + &name, values)));
        }
        if !self.base.is_empty() {
            let ids = self.base.keys().map(|image| i64::from(image.0)).collect::<Vec<_>>();
            let classes = self.base.values().map(|class| i64::from(class.0)).collect::<Vec<_>>();
            arrays.extend([(BASE[0].to_owned(), Values::ids(&ids)), (BASE[1].to_owned(), Values::ids(&classes))]);
        }
        kept_file::write(KIND, &self.about, &arrays)
    }
}

impl About {
    /// Tells whether there are two classes or more, each with a name and an id of its own, and photos of these alone.
    fn fits_together(&self) -> bool {
        let Self { classes, photos, .. } = self;
        let names: BTreeSet<&String> = classes.iter().map(|class| &class.name).collect();
        let ids: BTreeSet<ClassId> = classes.iter().map(|class| class.class_id).collect();
        let images: BTreeSet<ImageId> = photos.iter().map(|photo| photo.image_id).collect();
        let of_photos: BTreeSet<ClassId> = photos.iter().map(|photo| photo.class_id).collect();
        let first = OwnPhotos::default().query_class();
        classes.len() >= 2
            && [names.len(), ids.len(), of_photos.len()] == [classes.len(); 3]
            && images.len() == photos.len()
            && ids == of_photos
            && ids.iter().all(|class| *class > first)
            && images.iter().all(|image| image.0 >= first.0)
    }
}

impl Whole {
    /// What the names of its tensors begin with.
    fn prefix(&self) -> String {
        let Self { node, unit, output, .. } = self;
        if unit.is_empty() { format!("{node}/{output}/") } else { format!("{node}/{unit}/{output}/") }
    }

    /// Takes its tensors and lays the artifact out again; `None` when it is not the one that was put in.
    fn take(&self, arrays: &mut BTreeMap<String, Values>) -> Option<Vec<u8>> {
        let bytes = kept_file::take(arrays, &self.prefix(), Some(&self.text));
        bytes.filter(|bytes| Digest::of(bytes) == self.digest)
    }
}

/// Parts the name of a tensor: the node, the aspect, the output, the array. Names of nodes may hold slashes.
fn split(name: &str) -> Option<[String; 4]> {
    let mut parts = name.rsplitn(4, '/');
    let [array, output, aspect, node] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    Some([node, aspect, output, array].map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use mlsm_data::Class;

    use super::super::PhotoLine;
    use super::*;
    use crate::artifact::{Array, encode};

    fn support() -> Support {
        let first = OwnPhotos::default().query_class().0;
        let ids = [first + 1, first + 2].map(i64::from);
        let class = |(n, name): (u32, &str)| Class { class_id: ClassId(first + n), name: name.to_owned() };
        let photo = |n: u32| PhotoLine {
            image_id: ImageId(first + n),
            class_id: ClassId(first + n),
            path: format!("{n}.jpg"),
            digest: Digest::of(&[n as u8]),
        };
        let net = encode(&[("weight", Array::f32(&[1, 2], &[0.5, -0.5]))]).unwrap();
        let whole = Whole {
            node: "train-base:conv".to_owned(),
            unit: String::new(),
            output: "backbone".to_owned(),
            digest: Digest::of(&net),
            text: String::new(),
            weights: None,
            from_labelled: false,
        };
        let about = About {
            format: FORMAT,
            program: String::new(),
            preset: "own".to_owned(),
            row: "cl2n-conv".to_owned(),
            config: "seed = 1\n".to_owned(),
            weights: BTreeMap::new(),
            recipes: BTreeMap::new(),
            labelled_are_base: false,
            classes: [(1, "owl"), (2, "wren")].map(class).to_vec(),
            photos: [1, 2].map(photo).to_vec(),
            wholes: vec![whole],
        };
        let mut rows = Rows::default();
        let embedding = Array::f32(&[3, 1], &[3.0, 1.0, 2.0]);
        rows.add(&encode(&[("image_id", Array::i64(&[7, ids[0], ids[1]])), ("embedding", embedding)]).unwrap())
            .unwrap();
        let rows = BTreeMap::from([(["extract:conv", "image", "embedding"].map(str::to_owned), rows)]);
        let base = BTreeMap::from([(ImageId(7), ClassId(3))]);
        Support { path: "birds.support".into(), about, rows, wholes: vec![Some(net)], base }
    }

    fn read(support: &Support) -> Result<Support, SupportError> {
        Support::of_bytes(support.path.clone(), &support.to_bytes())
    }

    #[test]
    fn what_was_written_is_read_again() {
        assert_eq!(read(&support()).unwrap(), support());
        let mut fewer = support();
        assert!(matches!(fewer.remove(&["owl".to_owned()]), Err(SupportError::TooFewClasses { remain: 1, .. })));
        assert_eq!(fewer, support(), "what is refused changes nothing");
    }

    #[test]
    fn a_file_whose_digest_is_right_and_whose_lists_are_wrong_is_damaged() {
        let wrong: [fn(&mut Support); 5] = [
            |s| drop(s.about.classes.pop()),
            |s| s.about.classes[1].name = "owl".to_owned(),
            |s| s.about.photos[1].class_id = ClassId(3),
            |s| s.about.photos[1].image_id = s.about.photos[0].image_id,
            |s| s.about.wholes[0].digest = Digest::of(b"another net"),
        ];
        for change in wrong {
            let mut changed = support();
            change(&mut changed);
            let read = read(&changed);
            assert!(matches!(read, Err(SupportError::Damaged { .. })), "{read:?}");
        }
        let mut newer = support();
        newer.about.format += 1;
        assert!(matches!(read(&newer), Err(SupportError::OtherProgram { .. })));
    }
}
