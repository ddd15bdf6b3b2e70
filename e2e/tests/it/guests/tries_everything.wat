;; Asks for sockets of both kinds and both families and for a name's addresses.
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type (sub resource)))
    (type $code (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout"
      "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable"
      "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted"
      "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
    (export "error-code" (type (eq $code)))
    (type $family (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $family)))))
  (alias export $network "network" (type $network-handle))
  (alias export $network "error-code" (type $code))
  (alias export $network "ip-address-family" (type $family))

  (import "wasi:sockets/instance-network@0.2.0" (instance $instance-network
    (alias outer 1 $network-handle (type $outer))
    (export "network" (type $handle (eq $outer)))
    (export "instance-network" (func (result (own $handle))))))

  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $tcp-socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $tcp-create
    (alias outer 1 $tcp-socket (type $outer-socket))
    (export "tcp-socket" (type $socket (eq $outer-socket)))
    (alias outer 1 $code (type $outer-code))
    (export "error-code" (type $error (eq $outer-code)))
    (alias outer 1 $family (type $outer-family))
    (export "ip-address-family" (type $ip (eq $outer-family)))
    (export "create-tcp-socket" (func (param "address-family" $ip) (result (result (own $socket) (error $error)))))))

  (import "wasi:sockets/udp@0.2.0" (instance $udp (export "udp-socket" (type (sub resource)))))
  (alias export $udp "udp-socket" (type $udp-socket))
  (import "wasi:sockets/udp-create-socket@0.2.0" (instance $udp-create
    (alias outer 1 $udp-socket (type $outer-socket))
    (export "udp-socket" (type $socket (eq $outer-socket)))
    (alias outer 1 $code (type $outer-code))
    (export "error-code" (type $error (eq $outer-code)))
    (alias outer 1 $family (type $outer-family))
    (export "ip-address-family" (type $ip (eq $outer-family)))
    (export "create-udp-socket" (func (param "address-family" $ip) (result (result (own $socket) (error $error)))))))

  (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $lookup
    (alias outer 1 $network-handle (type $outer-handle))
    (export "network" (type $handle (eq $outer-handle)))
    (alias outer 1 $code (type $outer-code))
    (export "error-code" (type $error (eq $outer-code)))
    (export "resolve-address-stream" (type $stream (sub resource)))
    (export "resolve-addresses" (func (param "network" (borrow $handle)) (param "name" string)
      (result (result (own $stream) (error $error)))))))

  (core module $memory (memory (export "memory") 1) (data (i32.const 64) "localhost"))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $bytes))

  (core func $instance-network (canon lower (func $instance-network "instance-network")))
  (core func $tcp-create (canon lower (func $tcp-create "create-tcp-socket") (memory $bytes)))
  (core func $udp-create (canon lower (func $udp-create "create-udp-socket") (memory $bytes)))
  (core func $resolve (canon lower (func $lookup "resolve-addresses") (memory $bytes)))

  (core module $program
    (import "memory" "memory" (memory 1))
    (import "sockets" "instance-network" (func $instance_network (result i32)))
    (import "sockets" "create-tcp-socket" (func $create_tcp_socket (param i32 i32)))
    (import "sockets" "create-udp-socket" (func $create_udp_socket (param i32 i32)))
    (import "sockets" "resolve-addresses" (func $resolve_addresses (param i32 i32 i32 i32)))
    ;; The result at address 0: a tag byte (1 for an error), and the error in the fifth byte (1 for access-denied).
    (func $denied (result i32)
      (i32.and (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 4)) (i32.const 1))))
    ;; 0 for success.
    (func (export "run") (result i32) (local $all i32)
      (local.set $all (i32.const 1))
      (call $create_tcp_socket (i32.const 0) (i32.const 0))
      (local.set $all (i32.and (local.get $all) (call $denied)))
      (call $create_tcp_socket (i32.const 1) (i32.const 0))
      (local.set $all (i32.and (local.get $all) (call $denied)))
      (call $create_udp_socket (i32.const 0) (i32.const 0))
      (local.set $all (i32.and (local.get $all) (call $denied)))
      (call $create_udp_socket (i32.const 1) (i32.const 0))
      (local.set $all (i32.and (local.get $all) (call $denied)))
      (call $resolve_addresses (call $instance_network) (i32.const 64) (i32.const 9) (i32.const 0))
      (i32.eqz (i32.and (local.get $all) (call $denied)))))
  (core instance $program (instantiate $program
    (with "memory" (instance $memory))
    (with "sockets" (instance
      (export "instance-network" (func $instance-network))
      (export "create-tcp-socket" (func $tcp-create))
      (export "create-udp-socket" (func $udp-create))
      (export "resolve-addresses" (func $resolve))))))

  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
