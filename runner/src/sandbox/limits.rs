//! The memory wall inside the engine: linear memories and tables of one guest, summed.
//!
//! The wall outside it (rlimits of the worker process) is `walls`.

use wasmtime::ResourceLimiter;

/// Bytes that one table element costs the host.
const TABLE_ELEMENT_BYTES: u64 = 8;

/// Counts what a store's memories and tables take and refuses growth beyond the limit: `memory.grow` then answers -1, as the
/// WebAssembly specification lets it.
pub(crate) struct MemoryLimiter {
    limit: u64,
    pub(crate) max_table_elements: u64,
    now: u64,
    table_elements: u64,
    pub(crate) peak: u64,
    pub(crate) refused: Option<u64>,
    /// Elements in all that were asked for when `max_table_elements` last refused them.
    pub(crate) refused_elements: Option<u64>,
    told: u64,
    tell: Box<dyn FnMut(u64) + Send>,
}

// === impl MemoryLimiter ===

impl MemoryLimiter {
    /// `tell` hears of the first megabyte and then of each doubling.
    pub(crate) fn new(limit: u64, max_table_elements: u64, tell: Box<dyn FnMut(u64) + Send>) -> Self {
        Self { limit, max_table_elements, now: 0, table_elements: 0, peak: 0, refused: None, refused_elements: None, told: 1 << 19, tell }
    }

    fn grow(&mut self, by: u64) -> bool {
        let wanted = self.now.saturating_add(by);
        if wanted > self.limit {
            self.refused = Some(wanted);
            return false;
        }
        self.now = wanted;
        self.peak = self.peak.max(wanted);
        if self.peak >= self.told.saturating_mul(2) {
            self.told = self.peak;
            (self.tell)(self.peak);
        }
        true
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        let by = desired.saturating_sub(current) as u64;
        let elements = self.table_elements.saturating_add(by);
        if elements > self.max_table_elements {
            self.refused_elements = Some(elements);
            return Ok(false);
        }
        self.table_elements = elements;
        Ok(self.grow(by.saturating_mul(TABLE_ELEMENT_BYTES)))
    }
}

#[cfg(test)]
mod tests;
