# The Debian packages: cmake --workflow --preset package, and they lie in build/package.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME weft)
set(CPACK_PACKAGE_VENDOR weft)
set(CPACK_PACKAGE_CONTACT "The weft authors <weft@weft.example>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "job-queue worker daemon with context that follows")
# Packages are for /usr, whatever the build was configured for, and have files in /etc.
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
    WORLD_EXECUTE)
set(CPACK_COMPONENTS_ALL weft weft-dev)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/etc/debian/finish.cmake)
set(CPACK_WEFT_SOURCE_DIR ${PROJECT_SOURCE_DIR})

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_COMPONENT_WEFT-DEV_DEPENDS weft)

set(CPACK_DEBIAN_WEFT_PACKAGE_NAME weft)
set(CPACK_DEBIAN_WEFT_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_WEFT_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_WEFT_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_WEFT_PACKAGE_RECOMMENDS "redis-server (>= 5:6.2)")
set(CPACK_DEBIAN_WEFT_PACKAGE_SUGGESTS "logrotate")
set(CPACK_DEBIAN_WEFT_DEBUGINFO_PACKAGE ON)
set(CPACK_DEBIAN_WEFT_PACKAGE_CONTROL_EXTRA
    ${CMAKE_CURRENT_LIST_DIR}/postinst ${CMAKE_CURRENT_LIST_DIR}/prerm ${CMAKE_CURRENT_LIST_DIR}/postrm
    ${CMAKE_CURRENT_LIST_DIR}/conffiles)
set(CPACK_COMPONENT_WEFT_DESCRIPTION
    "weftd takes jobs from Redis streams and runs them as C functions, thousands at\na time in one process. Each job has a context, seeded from its message, that\nfollows everything the job starts, so that each line of its log is known to be\nits own. weft enqueues jobs and shows their logs and their state.")

set(CPACK_DEBIAN_WEFT-DEV_PACKAGE_NAME weft-dev)
set(CPACK_DEBIAN_WEFT-DEV_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_WEFT-DEV_PACKAGE_DEPENDS "libevent-dev")
set(CPACK_DEBIAN_WEFT-DEV_PACKAGE_RECOMMENDS "pkgconf | pkg-config")
set(CPACK_COMPONENT_WEFT-DEV_DESCRIPTION
    "What handlers for weftd are built with: the headers, files for pkg-config and\nCMake, their manual and a plugin to begin with; and the context library, for\nprograms of your own on libevent.")

include(CPack)
