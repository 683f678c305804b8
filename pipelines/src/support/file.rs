//! A support file as bytes: rows and weights as tensors that other programs open, the rest as JSON beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mlsm_data::{ClassId, ImageId};
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
        let damaged = |why: &str| SupportError::Damaged { path: path.clone(), why: why.to_owned() };
        let bytes = std::fs::read(&path).map_err(|source| SupportError::Io { path: path.clone(), source })?;
        let (about, arrays) = kept_file::read(KIND, &bytes).map_err(|unread| match unread {
            Unread::Foreign => SupportError::Foreign { path: path.clone() },
            Unread::Damaged => damaged("its bytes are not those whose digest it names"),
        })?;
        let format = about["format"].as_u64().unwrap_or_default();
        if format != u64::from(FORMAT) {
            let why = format!("its form is {format}, this program reads form {FORMAT}");
            return Err(SupportError::OtherProgram { path, why });
        }
        let about: About = serde_json::from_value(about).map_err(|e| damaged(&e.to_string()))?;
        let support = Self::of_arrays(path.clone(), about, arrays);
        support.ok_or_else(|| damaged("its tensors are not those that it lists"))
    }

    fn of_arrays(path: std::path::PathBuf, about: About, mut arrays: BTreeMap<String, Values>) -> Option<Self> {
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
