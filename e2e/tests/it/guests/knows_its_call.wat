;; Succeeds only if its one argument is `hello` and its environment has `HELLO=world`.
(component
  (import "wasi:cli/environment@0.2.0" (instance $environment
    (export "get-arguments" (func (result (list string))))
    (export "get-environment" (func (result (list (tuple string string)))))))

  (core module $memory
    (memory (export "memory") 1)
    (data (i32.const 64) "helloHELLOworld")
    (global $free (mut i32) (i32.const 1024))
    ;; Hands out what nobody has had yet.
    (func (export "realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and
        (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $bytes))
  (alias core export $memory "realloc" (core func $realloc))
  (core func $arguments (canon lower (func $environment "get-arguments") (memory $bytes) (realloc $realloc)))
  (core func $variables (canon lower (func $environment "get-environment") (memory $bytes) (realloc $realloc)))

  (core module $program
    (import "memory" "memory" (memory 1))
    (import "environment" "get-arguments" (func $get_arguments (param i32)))
    (import "environment" "get-environment" (func $get_environment (param i32)))
    ;; Whether the text whose address and length stand at $text is the five bytes at $expected.
    (func $is (param $text i32) (param $expected i32) (result i32) (local $at i32)
      (local.set $at (i32.load (local.get $text)))
      (i32.and
        (i32.eq (i32.load (i32.add (local.get $text) (i32.const 4))) (i32.const 5))
        (i32.and
          (i32.eq (i32.load (local.get $at)) (i32.load (local.get $expected)))
          (i32.eq (i32.load8_u offset=4 (local.get $at)) (i32.load8_u offset=4 (local.get $expected))))))
    (func $argument_is_hello (result i32)
      (call $get_arguments (i32.const 0))
      (if (i32.ne (i32.load (i32.const 4)) (i32.const 2)) (then (return (i32.const 0))))
      (call $is (i32.add (i32.load (i32.const 0)) (i32.const 8)) (i32.const 64)))
    (func $variable_is_there (result i32) (local $variable i32) (local $left i32)
      (call $get_environment (i32.const 0))
      (local.set $variable (i32.load (i32.const 0)))
      (local.set $left (i32.load (i32.const 4)))
      (loop $next
        (if (i32.eqz (local.get $left)) (then (return (i32.const 0))))
        (if (i32.and
              (call $is (local.get $variable) (i32.const 69))
              (call $is (i32.add (local.get $variable) (i32.const 8)) (i32.const 74)))
          (then (return (i32.const 1))))
        (local.set $variable (i32.add (local.get $variable) (i32.const 16)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br $next))
      unreachable)
    ;; 0 for success.
    (func (export "run") (result i32) (i32.eqz (i32.and (call $argument_is_hello) (call $variable_is_there)))))
  (core instance $program (instantiate $program
    (with "memory" (instance $memory))
    (with "environment" (instance
      (export "get-arguments" (func $arguments))
      (export "get-environment" (func $variables))))))

  (func $run (result (result)) (canon lift (core func $program "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))
