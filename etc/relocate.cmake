# relocate(FILE FOLDER): run by an installation; installs a text that is written for the prefix /usr, with its paths as they are
# below the prefix that it is given, which is only known then (cmake --install --prefix). FOLDER is below the prefix, or
# below its folder of configurations if it begins with "etc/".
#
# The caller sets SYSCONFDIR to what CMAKE_INSTALL_SYSCONFDIR was, and BINARY_DIR to where the changed text may lie.

# The folder of configurations: /usr has its own in the root, as it is on every Linux.
function(find_sysconfdir ret_folder)
    if(IS_ABSOLUTE "${SYSCONFDIR}")
        set(folder "${SYSCONFDIR}")
    elseif(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
        set(folder /etc)
    else()
        cmake_path(APPEND CMAKE_INSTALL_PREFIX "${SYSCONFDIR}" OUTPUT_VARIABLE folder)
    endif()
    set(${ret_folder} "${folder}" PARENT_SCOPE)
endfunction()

function(relocate file folder)
    find_sysconfdir(sysconfdir)
    if(folder MATCHES "^etc/")
        string(REGEX REPLACE "^etc/" "" folder "${folder}")
        cmake_path(APPEND sysconfdir "${folder}" OUTPUT_VARIABLE folder)
    else()
        cmake_path(APPEND CMAKE_INSTALL_PREFIX "${folder}" OUTPUT_VARIABLE folder)
    endif()
    file(READ "${file}" text)
    string(REGEX REPLACE "/etc/weft/" "${sysconfdir}/weft/" text "${text}")
    string(REGEX REPLACE "/usr/(sbin|bin|lib|share)/" "${CMAKE_INSTALL_PREFIX}/\\1/" text "${text}")
    cmake_path(GET file FILENAME name)
    file(WRITE "${BINARY_DIR}/${name}" "${text}")
    file(INSTALL "${BINARY_DIR}/${name}" DESTINATION "${folder}")
    # file(INSTALL) adds to what install_manifest.txt will have, but only within the function.
    set(CMAKE_INSTALL_MANIFEST_FILES "${CMAKE_INSTALL_MANIFEST_FILES}" PARENT_SCOPE)
endfunction()

# The same for a file that is somebody's as soon as it is there: it is kept.
function(relocate_once file folder)
    find_sysconfdir(sysconfdir)
    string(REGEX REPLACE "^etc/" "" below "${folder}")
    cmake_path(GET file FILENAME name)
    if(NOT EXISTS "$ENV{DESTDIR}${sysconfdir}/${below}/${name}")
        relocate("${file}" "${folder}")
        set(CMAKE_INSTALL_MANIFEST_FILES "${CMAKE_INSTALL_MANIFEST_FILES}" PARENT_SCOPE)
    endif()
endfunction()
