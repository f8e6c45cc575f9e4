# Bash completion of fvlm: commands, options and file names. Everything is read from 'fvlm --help' and
# 'fvlm COMMAND --help' when it is needed, so it cannot lag behind the program.
#   source tests/completion.bash       or `make install`, which puts it where bash looks

_fvlm_commands() { "$1" --help 2>/dev/null | sed -nE 's/^  fvlm ([a-z]+) .*/\1/p'; }
_fvlm_options() { "$1" "$2" --help 2>/dev/null | sed -nE 's/^ +(-[a-z], )?(--[a-z0-9-]+) .*/\2/p'; }

_fvlm() {
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]:-} word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_fvlm_commands "$program") --help --version" -- "$word")
        return
    fi
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_fvlm_options "$program" "$command")" -- "$word")
        return
    fi
    # Whatever is not an option is a path, or the user's own words.
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -F _fvlm fvlm
