# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_icecast_balancer_global_optspecs
    string join \n c/config= log-format= log-level= access-log= one-door h/help V/version
end

function __fish_icecast_balancer_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_icecast_balancer_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_icecast_balancer_using_subcommand
    set -l cmd (__fish_icecast_balancer_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -s c -l config -d 'The configuration: a file, or a directory whose *.yaml are read as one' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -l log-format -d 'How lines of the log and of the access log look' -r -f -a "text\t'For people'
json\t'One JSON object per line'"
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -l log-level -d 'What is logged: error, warn, info, debug, trace, or a filter like `warn,icecast_balancer::poller=debug`' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -l access-log -d 'Where each request is written down: a file, or `-` for standard output' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -l one-door -d 'Have hyper read every request, also those that could be answered at once'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "serve" -d 'Run the balancer (the default)'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "check" -d 'Check configurations without running'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "diff" -d 'Tell what a change of the configuration would do'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "simulate" -d 'Play a crowd against a configuration, without relays and in no time'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "probe" -d 'Ask every relay once and hold it against the configuration'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "explain" -d 'Ask a running balancer where a player would be sent, and why'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "status" -d 'Show the status page of a running balancer'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "healthcheck" -d 'Ask a running balancer whether it serves, for containers without curl'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "schema" -d 'Print the JSON Schema of balancer.yaml, for editors'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "completions" -d 'Print what lets a shell complete this program\'s commands and options'
complete -c icecast-balancer -n "__fish_icecast_balancer_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -s c -l config -d 'The configuration: a file, or a directory whose *.yaml are read as one' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -l log-format -d 'How lines of the log and of the access log look' -r -f -a "text\t'For people'
json\t'One JSON object per line'"
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -l log-level -d 'What is logged: error, warn, info, debug, trace, or a filter like `warn,icecast_balancer::poller=debug`' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -l access-log -d 'Where each request is written down: a file, or `-` for standard output' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -l one-door -d 'Have hyper read every request, also those that could be answered at once'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand serve" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand check" -l format -d 'How problems are reported' -r -f -a "human\t'With the line and a marker under what is wrong'
json\t'A JSON array of problems'
github\t'Workflow commands that GitHub shows beside the line in a pull request'"
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand check" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand diff" -l format -d 'How the difference is told' -r -f -a "human\t'As text'
json\t'As JSON'"
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand diff" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -s c -l config -d 'The configuration: a file, or a directory whose *.yaml are read as one' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l arrivals -d 'How many listeners arrive, evenly over --within' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l within -d 'How long the arrivals take, such as 60s or 10m' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l stream -d 'The stream that all arrivals are for; may be given more than once. Without it: all streams' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l curve -d 'Who arrives when: a CSV file with the columns time, arrivals and, if wanted, stream' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l drain -d 'Let a server get no more listeners from a time on, such as vienna@20:05 or vienna@90s' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l kill -d 'Let a server die at a time, such as berlin@20:30; its listeners ask again within five seconds' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l stay -d 'How long listeners stay on average, such as 40m. Without it they stay to the end' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l seed -d 'Where chance begins: the same number comes out the same' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l svg -d 'Draw the outcome into a file: each relay\'s load over time, and who was not served' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -l format -d 'How the outcome is told' -r -f -a "human\t'As text'
json\t'As JSON'"
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand simulate" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand probe" -s c -l config -d 'The configuration: a file, or a directory whose *.yaml are read as one' -r -F
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand probe" -l format -d 'How it is told' -r -f -a "human\t'As text'
json\t'As JSON'"
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand probe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand probe" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -l client -d 'The player\'s IP address, as the balancer sees it. Without it: somebody whom every relay takes' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -l agent -d 'The player\'s User-Agent: VLC and xine take two slots for a moment' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -l admin -d 'Where the balancer\'s admin port is' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -l format -d 'How it is told' -r -f -a "human\t'As text'
json\t'As JSON'"
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -l https -d 'The player comes by https; a URL that says so is enough'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand explain" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand status" -l admin -d 'Where the balancer\'s admin port is' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand status" -s w -l watch -d 'Draw it anew every second, until Ctrl-C'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand status" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand healthcheck" -l admin -d 'Where the balancer\'s admin port is' -r
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand healthcheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand healthcheck" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand schema" -l part -d 'For one of several files in a directory: what it lacks may stand in another'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand schema" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand completions" -s V -l version -d 'Print version'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "serve" -d 'Run the balancer (the default)'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "check" -d 'Check configurations without running'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "diff" -d 'Tell what a change of the configuration would do'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "simulate" -d 'Play a crowd against a configuration, without relays and in no time'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "probe" -d 'Ask every relay once and hold it against the configuration'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "explain" -d 'Ask a running balancer where a player would be sent, and why'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "status" -d 'Show the status page of a running balancer'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "healthcheck" -d 'Ask a running balancer whether it serves, for containers without curl'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "schema" -d 'Print the JSON Schema of balancer.yaml, for editors'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "completions" -d 'Print what lets a shell complete this program\'s commands and options'
complete -c icecast-balancer -n "__fish_icecast_balancer_using_subcommand help; and not __fish_seen_subcommand_from serve check diff simulate probe explain status healthcheck schema completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
