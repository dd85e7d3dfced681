namespace Shinano.XenStore.Protocol;

/// <summary>
/// The errors that can cross the wire, where they travel by name. The values are Linux's errno numbers.
/// Source: public/io/xs_wire.h: xsd_errors.
/// </summary>
public enum XenStoreError
{
    None = 0,
    PermissionRefused = 1,  // EPERM
    NotFound = 2,           // ENOENT
    InputOutput = 5,        // EIO
    TooBig = 7,             // E2BIG
    TryAgain = 11,          // EAGAIN
    OutOfMemory = 12,       // ENOMEM
    AccessDenied = 13,      // EACCES
    Busy = 16,              // EBUSY
    AlreadyExists = 17,     // EEXIST
    IsDirectory = 21,       // EISDIR
    Invalid = 22,           // EINVAL
    NoSpace = 28,           // ENOSPC
    ReadOnly = 30,          // EROFS
    NotSupported = 38,      // ENOSYS
    NotEmpty = 39,          // ENOTEMPTY
    AlreadyConnected = 106, // EISCONN
}
