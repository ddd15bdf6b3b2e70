//! The network a guest sees: every call is there, refused, and recorded.
//!
//! Replaces the library's sockets where they would create a host socket or look up a name before refusing: preview 1 `sock_*`, and
//! `wasi:sockets` `tcp-create-socket`, `udp-create-socket`, `ip-name-lookup`. Without a socket no other call of `wasi:sockets` can
//! be reached.

use std::collections::BTreeMap;

use crds::report::NetworkDenied;
use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::bindings::sockets::{ip_name_lookup, tcp_create_socket, udp_create_socket};
use wasmtime_wasi::p2::{DynPollable, SocketError, SocketResult};

/// `errno::acces` of WASI preview 1: permission denied.
const ERRNO_ACCES: i32 = 2;

/// The refused calls by name, counted; the first of each is told at once, so that a guest that is killed has told too.
pub(crate) struct Refusals {
    times: BTreeMap<&'static str, u64>,
    tell: Box<dyn FnMut(&str) + Send>,
}

/// A store's state that counts refusals.
pub(crate) trait HasRefusals: 'static {
    fn refusals(&mut self) -> &mut Refusals;
}

/// A component's view of the refused network.
pub(crate) struct RefusedNetwork<'a> {
    pub(crate) refusals: &'a mut Refusals,
    pub(crate) table: &'a mut ResourceTable,
}

/// Names [`RefusedNetwork`] to the linker.
pub(crate) struct Refused;

// === impl Refusals ===

impl Refusals {
    pub(crate) fn new(tell: Box<dyn FnMut(&str) + Send>) -> Self {
        Self { times: BTreeMap::new(), tell }
    }

    fn record(&mut self, call: &'static str) {
        let times = self.times.entry(call).or_default();
        *times += 1;
        if *times == 1 {
            (self.tell)(call);
        }
    }

    pub(crate) fn denied(&self) -> Vec<NetworkDenied> {
        self.times.iter().map(|(call, times)| NetworkDenied { call: (*call).to_owned(), times: *times }).collect()
    }
}

/// Replaces preview 1's socket calls.
pub(crate) fn refuse_in_core<T: HasRefusals>(linker: &mut wasmtime::Linker<T>) -> wasmtime::Result<()> {
    use wasmtime::Caller;
    const MODULE: &str = "wasi_snapshot_preview1";
    fn refuse<T: HasRefusals>(caller: &mut Caller<'_, T>, call: &'static str) -> i32 {
        caller.data_mut().refusals().record(call);
        ERRNO_ACCES
    }
    linker.func_wrap(MODULE, "sock_accept", |mut caller: Caller<'_, T>, _: i32, _: i32, _: i32| refuse(&mut caller, "sock_accept"))?;
    linker.func_wrap(MODULE, "sock_recv", |mut caller: Caller<'_, T>, _: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
        refuse(&mut caller, "sock_recv")
    })?;
    linker.func_wrap(MODULE, "sock_send", |mut caller: Caller<'_, T>, _: i32, _: i32, _: i32, _: i32, _: i32| {
        refuse(&mut caller, "sock_send")
    })?;
    linker.func_wrap(MODULE, "sock_shutdown", |mut caller: Caller<'_, T>, _: i32, _: i32| refuse(&mut caller, "sock_shutdown"))?;
    Ok(())
}

impl HasData for Refused {
    type Data<'a> = RefusedNetwork<'a>;
}

// What the three interfaces' answers are made of: error codes and a network handle that leads nowhere.
impl network::Host for RefusedNetwork<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        error.downcast()
    }

    fn network_error_code(&mut self, _: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        Ok(None)
    }
}

impl network::HostNetwork for RefusedNetwork<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl tcp_create_socket::Host for RefusedNetwork<'_> {
    fn create_tcp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<tcp_create_socket::TcpSocket>> {
        self.refusals.record("wasi:sockets/tcp-create-socket");
        Err(ErrorCode::AccessDenied.into())
    }
}

impl udp_create_socket::Host for RefusedNetwork<'_> {
    async fn create_udp_socket(&mut self, _: IpAddressFamily) -> SocketResult<Resource<udp_create_socket::UdpSocket>> {
        self.refusals.record("wasi:sockets/udp-create-socket");
        Err(ErrorCode::AccessDenied.into())
    }
}

impl ip_name_lookup::Host for RefusedNetwork<'_> {
    fn resolve_addresses(
        &mut self,
        _: Resource<Network>,
        _: String,
    ) -> Result<Resource<ip_name_lookup::ResolveAddressStream>, SocketError> {
        self.refusals.record("wasi:sockets/ip-name-lookup");
        Err(ErrorCode::AccessDenied.into())
    }
}

impl ip_name_lookup::HostResolveAddressStream for RefusedNetwork<'_> {
    fn resolve_next_address(&mut self, _: Resource<ip_name_lookup::ResolveAddressStream>) -> Result<Option<IpAddress>, SocketError> {
        Err(ErrorCode::InvalidState.into())
    }

    fn subscribe(&mut self, stream: Resource<ip_name_lookup::ResolveAddressStream>) -> wasmtime::Result<Resource<DynPollable>> {
        wasmtime_wasi::p2::subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<ip_name_lookup::ResolveAddressStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}
