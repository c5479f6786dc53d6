# Run by cpack when a package's files are in their places: adds what only Debian's packages have, and compresses what they
# have compressed.
set(source ${CPACK_WEFT_SOURCE_DIR}/etc/debian)

function(run)
    execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(GLOB folders ${CPACK_TEMPORARY_DIRECTORY}/weft*)
foreach(folder IN LISTS folders)
    cmake_path(GET folder FILENAME package)
    set(documents ${folder}/usr/share/doc/${package})
    file(MAKE_DIRECTORY ${documents})
    run(install -m 644 ${source}/copyright ${documents}/copyright)
    run(install -m 644 ${source}/changelog ${documents}/changelog.Debian)
    file(GLOB pages ${folder}/usr/share/man/man?/*.?)
    set(changelogs ${documents}/changelog.Debian)
    # What has changed in weft itself has a name of its own in Debian.
    if(EXISTS ${documents}/CHANGELOG.md)
        file(RENAME ${documents}/CHANGELOG.md ${documents}/changelog)
        list(APPEND changelogs ${documents}/changelog)
    endif()
    run(gzip -9nf ${changelogs} ${pages})
    file(GLOB_RECURSE objects ${folder}/usr/lib/*.a)
    foreach(object IN LISTS objects)
        run(strip --strip-debug --enable-deterministic-archives ${object})
    endforeach()
endforeach()
