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
