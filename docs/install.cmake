# What an installation does to texts. The caller sets MANDIR and DOCDIR, as they were configured, and BINARY_DIR, where the
# changed texts may lie.
cmake_minimum_required(VERSION 3.25)

# install_page(FILE): a man page, whose examples load plugins from the prefix that is installed to.
function(install_page file)
    cmake_path(GET file FILENAME name)
    string(REGEX REPLACE ".*\\." "" section "${name}")
    file(READ "${file}" text)
    string(REPLACE "/usr/lib/weft/" "${CMAKE_INSTALL_PREFIX}/lib/weft/" text "${text}")
    string(REPLACE "/usr/share/doc/" "${CMAKE_INSTALL_PREFIX}/share/doc/" text "${text}")
    file(WRITE "${BINARY_DIR}/${name}" "${text}")
    file(INSTALL "${BINARY_DIR}/${name}" DESTINATION "${CMAKE_INSTALL_PREFIX}/${MANDIR}/man${section}")
    # file(INSTALL) adds to what install_manifest.txt will have, but only within the function.
    set(CMAKE_INSTALL_MANIFEST_FILES "${CMAKE_INSTALL_MANIFEST_FILES}" PARENT_SCOPE)
endfunction()

# install_documents(FILE...): all of them into one folder. Links between them, and to headers and examples, lead to where
# those are installed; of a link to something that is not, only the words stay.
function(install_documents)
    set(names)
    foreach(file IN LISTS ARGN)
        cmake_path(GET file FILENAME name)
        list(APPEND names "${name}")
    endforeach()
    foreach(file IN LISTS ARGN)
        cmake_path(GET file FILENAME name)
        file(READ "${file}" text)
        string(REGEX REPLACE "\\]\\((docs/|\\.\\./)?([A-Z]+\\.md)\\)" "](\\2)" text "${text}")
        string(REGEX REPLACE "\\]\\((context|handlers)/include/" "](../../../include/" text "${text}")
        string(REGEX REPLACE "\\]\\(handlers/examples\\)" "](../weft-dev/examples/handlers)" text "${text}")
        string(REGEX REPLACE "\\]\\(etc/plugin/" "](../weft-dev/examples/plugin/" text "${text}")
        # Without the brackets, which are more than characters in lists.
        string(REGEX MATCHALL "\\([A-Za-z/.]+\\.(md|[1-8])\\)" links "${text}")
        foreach(link IN LISTS links)
            string(REGEX REPLACE "[()]" "" target "${link}")
            if(NOT target IN_LIST names)
                string(REPLACE "." "\\." pattern "${target}")
                string(REGEX REPLACE "\\[([^][]*)\\]\\(${pattern}\\)" "\\1" text "${text}")
            endif()
        endforeach()
        file(WRITE "${BINARY_DIR}/${name}" "${text}")
        file(INSTALL "${BINARY_DIR}/${name}" DESTINATION "${CMAKE_INSTALL_PREFIX}/${DOCDIR}")
    endforeach()
    set(CMAKE_INSTALL_MANIFEST_FILES "${CMAKE_INSTALL_MANIFEST_FILES}" PARENT_SCOPE)
endfunction()
