//! A coder from one pair to another, made of a chain for the keys and a chain for the values.

use std::sync::Arc;

use millstream_core::contracts::{Code, CodeError, Coder, Faults, Halt, Kind};
use millstream_core::data::{AnyColumn, CopyRows, Form};

/// The coder that codes the keys of `from` by one chain and the values by the other. A chain without coders copies.
pub(crate) fn pair_coder(from: &Form, to: &Form, keys: &[Coder], values: &[Coder]) -> Coder {
    let both = || keys.iter().chain(values);
    let (forms, chains) = ((from.clone(), to.clone()), (keys.to_vec(), values.to_vec()));
    Coder {
        name: format!("KV({}, {})", names(keys), names(values)),
        from: from.clone(),
        to: to.clone(),
        kind: kind(both().map(|coder| coder.kind)),
        cost: both().fold(0, |cost: u32, coder| cost.saturating_add(coder.cost.max(1))).max(1),
        heavy: both().any(|coder| coder.heavy),
        waits: both().any(|coder| coder.waits),
        make: Arc::new(move || Box::new(PairCode::new(&forms.0, &forms.1, &chains.0, &chains.1))),
    }
}

fn names(chain: &[Coder]) -> String {
    match chain {
        [] => "-".to_owned(),
        chain => chain.iter().map(|coder| coder.name.as_str()).collect::<Vec<_>>().join(" + "),
    }
}

/// What it is for, taken together: it decodes if any part of it does. What it may follow is decided side by side.
fn kind(parts: impl Iterator<Item = Kind>) -> Kind {
    parts.fold(Kind::Recast, |kind, part| match (kind, part) {
        (Kind::Decode, _) | (_, Kind::Decode | Kind::WireDecode) => Kind::Decode,
        (Kind::Encode, _) | (_, Kind::Encode | Kind::WireEncode) => Kind::Encode,
        (kind, Kind::Recast) => kind,
    })
}

struct PairCode {
    from: Form,
    to: Form,
    keys: Side,
    values: Side,
}

/// One side of a pair at work.
struct Side {
    chain: Vec<(Box<dyn Code>, Form)>,
    copy: Option<CopyRows>,
}

impl PairCode {
    fn new(from: &Form, to: &Form, keys: &[Coder], values: &[Coder]) -> Self {
        Self {
            from: from.clone(),
            to: to.clone(),
            keys: Side::new(keys, from.sides().map(|sides| sides.copy_keys)),
            values: Side::new(values, from.sides().map(|sides| sides.copy_values)),
        }
    }
}

impl Side {
    fn new(chain: &[Coder], copy: Option<CopyRows>) -> Self {
        Self { chain: chain.iter().map(|coder| ((coder.make)(), coder.to.clone())).collect(), copy }
    }

    /// Codes all rows of `from` and adds them to `to`; the faults are ascending and numbered by the rows of `from`.
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn) -> Faults {
        let mut faults = Faults::new();
        let Some(((last, _), before)) = self.chain.split_last_mut() else {
            if let Some(copy) = self.copy {
                copy(from, to);
            }
            return faults;
        };
        let mut rows: Vec<u32> = (0..from.rows() as u32).collect();
        let mut column: Option<Box<dyn AnyColumn>> = None;
        for (coder, form) in before {
            let mut next = form.empty();
            faults.extend(numbered(coder.as_mut(), column.as_deref().unwrap_or(from), &mut *next, &mut rows));
            column = Some(next);
        }
        faults.extend(numbered(last.as_mut(), column.as_deref().unwrap_or(from), to, &mut rows));
        faults.sort_by_key(|(row, _)| *row);
        faults
    }
}

/// Runs one coder; `rows` says which row each row of `from` was at first, and afterwards which ones are left.
fn numbered(coder: &mut dyn Code, from: &dyn AnyColumn, to: &mut dyn AnyColumn, rows: &mut Vec<u32>) -> Faults {
    let mut faults = Faults::new();
    coder.code(from, to, &mut faults);
    for (row, _) in &mut faults {
        *row = rows[*row as usize];
    }
    rows.retain(|row| !faults.iter().any(|(fault, _)| fault == row));
    faults
}

impl Code for PairCode {
    fn halt_by(&mut self, halt: &Halt) {
        let sides = self.keys.chain.iter_mut().chain(&mut self.values.chain);
        sides.for_each(|(coder, _)| coder.halt_by(halt));
    }

    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let look = self.from.sides().and_then(|sides| (sides.look)(from));
        let fill = self.to.sides().and_then(|sides| (sides.fill)(to));
        let (Some((keys, values)), Some((to_keys, to_values))) = (look, fill) else {
            let message = "a coder of pairs was given a column of another type: the graph does not fit its operators";
            faults.extend((0..from.rows()).map(|row| (row as u32, CodeError::new(message).into())));
            return;
        };
        let (rows, base) = (keys.rows() as u32, to_keys.rows() as u32);
        let (of_keys, of_values) = (self.keys.code(keys, to_keys), self.values.code(values, to_values));
        drop_rows(to_keys, base, rows, &of_keys, &of_values);
        drop_rows(to_values, base, rows, &of_values, &of_keys);
        faults.extend(together(of_keys, of_values));
    }
}

/// Takes out of one side, to which the rows without `own` faults were added from `base` on, those that failed on the
/// other side, so that both stay aligned.
fn drop_rows(side: &mut dyn AnyColumn, base: u32, rows: u32, own: &Faults, other: &Faults) {
    if other.is_empty() {
        return;
    }
    let has = |faults: &Faults, row: u32| faults.binary_search_by_key(&row, |(row, _)| *row).is_ok();
    let added = (0..rows).filter(|&row| !has(own, row)).zip(base..);
    let kept = added.filter(|&(row, _)| !has(other, row)).map(|(_, at)| at);
    let keep: Vec<u32> = (0..base).chain(kept).collect();
    side.keep(&keep);
}

/// Both sides' faults, ascending, one a row: if both failed the key's.
fn together(keys: Faults, values: Faults) -> Faults {
    let mut all: Faults = keys.into_iter().chain(values).collect();
    all.sort_by_key(|(row, _)| *row);
    all.dedup_by_key(|(row, _)| *row);
    all
}
