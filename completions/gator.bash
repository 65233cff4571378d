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
