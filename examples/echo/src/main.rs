//! Prints its arguments on one line; without arguments its environment, one sorted `NAME=value` per line.

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    if arguments.is_empty() {
        let mut variables: Vec<_> =
            std::env::vars_os().map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy())).collect();
        variables.sort();
        for variable in variables {
            println!("{variable}");
        }
    } else {
        println!("{}", arguments.join(" "));
    }
}
