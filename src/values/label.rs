//! Enums whose values have names that programs read: labels of metrics, fields of the audit log.

use std::fmt;

/// An enum with a name for each value. [`labels!`](crate::values::label::labels) implements it.
pub trait Label: Copy + fmt::Debug + 'static {
    /// All values, in the order of their declaration.
    const ALL: &'static [Self];

    /// Returns the name that programs read.
    fn name(self) -> &'static str;

    /// Returns the position in [`Self::ALL`].
    fn index(self) -> usize;
}

/// One value of `T` for each value of a [`Label`].
#[derive(Debug)]
pub struct ByLabel<L, T> {
    values: Box<[T]>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label, T: Default> Default for ByLabel<L, T> {
    fn default() -> Self {
        Self {
            values: L::ALL.iter().map(|_| T::default()).collect(),
            label: std::marker::PhantomData,
        }
    }
}

impl<L: Label, T> ByLabel<L, T> {
    /// Returns each label with its value.
    pub fn iter(&self) -> impl Iterator<Item = (L, &T)> {
        L::ALL.iter().copied().zip(&self.values)
    }
}

impl<L: Label, T> std::ops::Index<L> for ByLabel<L, T> {
    type Output = T;

    #[allow(clippy::indexing_slicing)] // Default::default makes one value for each label.
    fn index(&self, label: L) -> &T {
        &self.values[label.index()]
    }
}

impl<L: Label, T> std::ops::IndexMut<L> for ByLabel<L, T> {
    #[allow(clippy::indexing_slicing)] // As above.
    fn index_mut(&mut self, label: L) -> &mut T {
        &mut self.values[label.index()]
    }
}

/// Declares an enum that implements [`Label`], and serializes as its name.
macro_rules! labels {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $label:ident {
            $($(#[$of_value:meta])* $value:ident = $name:literal,)+
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $label {
            $($(#[$of_value])* $value,)+
        }

        impl $crate::values::label::Label for $label {
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }

        impl serde::Serialize for $label {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::values::label::Label::name(*self))
            }
        }
    };
}
pub(crate) use labels;

#[cfg(test)]
mod tests {
    use super::*;

    labels! {
        enum Colour {
            Red = "red",
            LightBlue = "light-blue",
        }
    }

    #[test]
    fn each_label_has_its_name_its_position_and_its_value() {
        let mut counts = ByLabel::<Colour, u64>::default();
        counts[Colour::LightBlue] += 2;
        let named: Vec<_> = counts
            .iter()
            .map(|(label, count)| (label.name(), *count))
            .collect();
        assert_eq!(named, [("red", 0), ("light-blue", 2)]);
        for (position, label) in Colour::ALL.iter().enumerate() {
            assert_eq!(label.index(), position);
            assert_eq!(serde_json::json!(label), serde_json::json!(label.name()));
        }
    }
}
