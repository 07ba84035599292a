//! The layout of the sources: imports point down and never in a circle, a type's name means one thing, and
//! no file is too long.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// The modules below src/, from the top down. A module imports only from lines below its own.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["operator", "server"],
    &["control"],
    &["ssh"],
    &["sftp", "scp"],
    &["exec"],
    &["vfs"],
    &["session"],
    &["sandbox"],
    &["config"],
    &["quota", "store", "accounts", "admission"],
    &["observe"],
    &["error"],
    &["rules"],
    &["database", "hashes"],
    &["io"],
    &["values"],
];

/// Maximum number of lines of a file.
const LONGEST: usize = 500;
/// Files that are one table, which reads better in one piece.
const TABLES: &[&str] = &["config/table.rs"];

/// A module's path in the crate, such as `["ssh", "auth"]`.
type Module = Vec<String>;

/// The relevant parts of a source file.
#[derive(Default)]
struct Source {
    module: Module,
    lines: usize,
    /// Imported names, and what they refer to.
    imports: Vec<(String, Module, bool)>,
    /// Submodules with files of their own.
    children: Vec<String>,
    /// Paths in its code.
    paths: Vec<Module>,
    types: Vec<String>,
}

/// Returns the sources below src/, by module.
fn sources() -> BTreeMap<Module, Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    find(&root, &mut files);
    let read = files.iter().map(|file| {
        let text = fs::read_to_string(file).unwrap();
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module = inside
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .collect();
        module.pop_if(|last| last == "mod");
        let mut source = Source {
            lines: text.lines().count(),
            module: module.clone(),
            ..Source::default()
        };
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let children = parsed.items.iter().filter_map(|item| match item {
            Item::Mod(child) if child.content.is_none() => Some(child.ident.to_string()),
            _ => None,
        });
        source.children = children.collect();
        source.visit_file(&parsed);
        (module, source)
    });
    let all: BTreeMap<_, _> = read.collect();
    assert!(all.len() > 150, "only {} files were found", all.len());
    all
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            find(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
}

fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

impl Source {
    /// Resolves a path that begins with `crate`, `self` or `super`; `None` for any other.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut base = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module.split_last()?.1.to_vec(),
            child if path.len() > 1 && self.children.iter().any(|known| known == child) => {
                return Some([self.module.as_slice(), path].concat());
            }
            _ => return None,
        };
        for part in path.iter().skip(1) {
            match part.as_str() {
                "self" => {}
                "super" => {
                    base.pop();
                }
                _ => base.push(part.clone()),
            }
        }
        Some(base)
    }

    fn import(&mut self, tree: &UseTree, before: &mut Vec<String>, is_public: bool) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.import(&path.tree, before, is_public);
                before.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, is_public);
                }
            }
            UseTree::Name(name) => self.import_as(&name.ident, &name.ident, before, is_public),
            UseTree::Rename(name) => self.import_as(&name.ident, &name.rename, before, is_public),
            UseTree::Glob(_) => {
                if let Some(all) = self.absolute(before) {
                    self.imports.push(("*".to_owned(), all, is_public));
                }
            }
        }
    }

    fn import_as(
        &mut self,
        name: &syn::Ident,
        alias: &syn::Ident,
        before: &[String],
        is_public: bool,
    ) {
        let mut path = before.to_vec();
        path.push(name.to_string());
        let alias = match name == "self" && alias == "self" {
            true => before.last().unwrap().clone(),
            false => alias.to_string(),
        };
        if let Some(target) = self.absolute(&path) {
            self.imports.push((alias, target, is_public));
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, name) = match item {
            Item::Mod(item) => (&item.attrs, None),
            Item::Fn(item) => (&item.attrs, None),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            Item::Const(item) => (&item.attrs, None),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            Item::Type(item) => (&item.attrs, Some(&item.ident)),
            _ => return visit::visit_item(self, item),
        };
        if is_of_tests(attributes) {
            return;
        }
        self.types.extend(name.map(ToString::to_string));
        match item {
            Item::Use(item) => {
                let is_public = !matches!(item.vis, Visibility::Inherited);
                self.import(&item.tree, &mut Vec::new(), is_public);
            }
            // An inline module is part of its file.
            _ => visit::visit_item(self, item),
        }
    }

    /// `pub(in crate::server)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.paths.extend(self.absolute(&parts));
        visit::visit_path(self, path);
    }
}

/// Returns the modules that each module uses. A re-exported name (`pub use`) leads to its origin.
fn uses(sources: &BTreeMap<Module, Source>) -> BTreeMap<Module, BTreeSet<Module>> {
    sources
        .iter()
        .map(|(module, source)| {
            let imported = source
                .imports
                .iter()
                .filter(|(_, _, is_public)| !is_public)
                .map(|(_, target, _)| target);
            let used = imported
                .chain(&source.paths)
                .filter_map(|target| home_of(sources, target, 0));
            (module.clone(), used.filter(|used| used != module).collect())
        })
        .collect()
}

/// Returns the module that defines the target of a path.
fn home_of(sources: &BTreeMap<Module, Source>, target: &[String], depth: usize) -> Option<Module> {
    assert!(depth < 20, "{target:?} is handed on in a circle");
    let known = (0..=target.len())
        .rev()
        .find(|length| sources.contains_key(target.get(..*length).unwrap_or_default()))?;
    let (module, rest) = target.split_at(known);
    let source = &sources[module];
    if let Some(name) = rest.first() {
        let handed_on = source.imports.iter().find(|(alias, ..)| alias == name);
        if let Some((_, from, _)) = handed_on {
            let from = [from.as_slice(), rest.get(1..).unwrap_or_default()].concat();
            return home_of(sources, &from, depth + 1);
        }
    }
    Some(module.to_vec())
}

fn shown(module: &[String]) -> String {
    module.join("::")
}

#[test]
fn imports_point_down() {
    let sources = sources();
    let floor = |module: &Module| {
        let room = module.first().map_or("main", String::as_str);
        let floor = FLOORS.iter().position(|rooms| rooms.contains(&room));
        (
            room.to_owned(),
            floor.unwrap_or_else(|| panic!("the room {room} has no floor")),
        )
    };
    let mut up = Vec::new();
    for (module, used) in uses(&sources) {
        if module.as_slice() == ["lib"] {
            continue;
        }
        let (room, from) = floor(&module);
        for used in used.iter().filter(|used| !used.is_empty()) {
            let (other, to) = floor(used);
            if room != other && to <= from {
                up.push(format!("{} -> {}", shown(&module), shown(used)));
            }
        }
    }
    assert!(
        up.is_empty(),
        "imports that do not point down:\n{}",
        up.join("\n")
    );
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let uses = uses(&sources());
    let reaches = |from: &Module, to: &Module| {
        let mut seen = BTreeSet::from([from]);
        let mut next = vec![from];
        while let Some(module) = next.pop() {
            next.extend(uses[module].iter().filter(|used| seen.insert(*used)));
        }
        seen.contains(to)
    };
    let mut arrows = Vec::new();
    for (module, used) in &uses {
        for used in used.iter().filter(|used| reaches(used, module)) {
            arrows.push(format!("{} -> {}", shown(module), shown(used)));
        }
    }
    assert!(
        arrows.is_empty(),
        "files in a circle:\n{}",
        arrows.join("\n")
    );
}

#[test]
fn the_name_of_a_type_means_one_thing() {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, source) in sources() {
        for name in source.types {
            found.entry(name).or_default().push(shown(&module));
        }
    }
    let twice: Vec<_> = found
        .iter()
        .filter(|(_, modules)| modules.len() > 1)
        .map(|(name, modules)| format!("{name}: {}", modules.join(", ")))
        .collect();
    assert!(
        twice.is_empty(),
        "types of the same name:\n{}",
        twice.join("\n")
    );
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .values()
        .filter(|source| source.lines > LONGEST)
        .map(|source| (source.module.join("/") + ".rs", source.lines))
        .filter(|(file, _)| !TABLES.contains(&file.as_str()))
        .collect();
    assert!(
        long.is_empty(),
        "files of more than {LONGEST} lines: {long:?}"
    );
}
