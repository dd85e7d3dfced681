namespace Shinano.XenStore.Protocol;

/// <summary>Errors to and from the names that travel on the wire.</summary>
public static class XenStoreErrorNames
{
    /// <summary>The name without a terminating NUL, for instance ENOENT.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is <see cref="XenStoreError.None"/> or no error at all.</exception>
    public static string ToWireName(this XenStoreError error) => error switch
    {
        XenStoreError.Invalid => "EINVAL",
        XenStoreError.AccessDenied => "EACCES",
        XenStoreError.AlreadyExists => "EEXIST",
        XenStoreError.IsDirectory => "EISDIR",
        XenStoreError.NotFound => "ENOENT",
        XenStoreError.OutOfMemory => "ENOMEM",
        XenStoreError.NoSpace => "ENOSPC",
        XenStoreError.InputOutput => "EIO",
        XenStoreError.NotEmpty => "ENOTEMPTY",
        XenStoreError.NotSupported => "ENOSYS",
        XenStoreError.ReadOnly => "EROFS",
        XenStoreError.Busy => "EBUSY",
        XenStoreError.TryAgain => "EAGAIN",
        XenStoreError.AlreadyConnected => "EISCONN",
        XenStoreError.TooBig => "E2BIG",
        XenStoreError.PermissionRefused => "EPERM",
        _ => throw new ArgumentOutOfRangeException(nameof(error), error, "Not an error of the wire protocol."),
    };

    /// <summary>Finds the error of a name. An unknown name gives <see cref="XenStoreError.Invalid"/>, as Xen's client library does.</summary>
    public static XenStoreError FromWireName(string name)
    {
        foreach (XenStoreError error in Enum.GetValues<XenStoreError>())
        {
            if (error != XenStoreError.None && error.ToWireName() == name)
            {
                return error;
            }
        }

        return XenStoreError.Invalid;
    }
}
