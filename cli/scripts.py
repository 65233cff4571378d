"""The completion scripts. They take gator's answers, as `shells` words them, to the shell."""

from __future__ import annotations

SHELLS = ("bash", "zsh", "fish")

#: Their names under completions/, which are those that each shell looks for.
FILES = {"bash": "gator.bash", "zsh": "_gator", "fish": "gator.fish"}

#: readline replaces what comes after the last of its word breaks, = among them, so that gator has
#: to know these; and it inserts what it is given as it is, so that gator has to quote.
_BASH = r"""
_gator_completion() {
    local answer
    COMPREPLY=()
    while IFS= read -r answer; do
        case $answer in
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${answer#plain,}") ;;
        esac
    done < <(_GATOR_COMPLETE=bash "$1" "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}

complete -o nosort -F _gator_completion gator
"""

#: zsh quotes what it inserts by itself.
_ZSH = r"""
#compdef gator

_gator() {
    local answer
    local -a typed plain described
    typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
    for answer in "${(@f)$(_GATOR_COMPLETE=zsh ${~words[1]} "${typed[@]}" 2>/dev/null)}"; do
        case $answer in
            file,?*) compset -P '*='; _files ;;
            file,) _files ;;
            plain,*) plain+=("${answer#plain,}") ;;
            described,*) described+=("${answer#described,}") ;;
        esac
    done
    (( $#described )) && _describe -V gator described
    (( $#plain )) && compadd -V gator -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _gator "$@"
else
    compdef _gator gator
fi
"""

#: So does fish.
_FISH = r"""
function _gator_completion
    set -l typed (commandline -opc)
    set -l word (commandline -ct)
    set -l gator $typed[1]
    set -e typed[1]
    for answer in (_GATOR_COMPLETE=fish $gator $typed "$word" 2>/dev/null)
        set -l kind (string split -m 1 , -- $answer)
        switch $kind[1]
            case file
                set -l path (string sub -s (math 1 + (string length -- "$kind[2]")) -- "$word")
                for found in (__fish_complete_path "$path")
                    echo -- $kind[2]$found
                end
            case plain
                echo -- $kind[2]
        end
    end
end

complete --no-files --command gator --arguments "(_gator_completion)"
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def script(shell: str) -> str:
    """Return the script for a shell."""
    return _SCRIPTS[shell].lstrip("\n")
