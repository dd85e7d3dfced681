namespace Shinano.XenStore.Protocol;

/// <summary>Xen's own spelling of the operations, as xenstore-snoop prints it.</summary>
public static class XenStoreOperationNames
{
    /// <summary>Returns the name with Xen's XS_ prefix, or XS_UNKNOWN_n for a type that does not exist.</summary>
    public static string ToWireName(this XenStoreOperation operation) => operation switch
    {
        XenStoreOperation.Control => "XS_CONTROL",
        XenStoreOperation.Directory => "XS_DIRECTORY",
        XenStoreOperation.Read => "XS_READ",
        XenStoreOperation.GetPermissions => "XS_GET_PERMS",
        XenStoreOperation.Watch => "XS_WATCH",
        XenStoreOperation.Unwatch => "XS_UNWATCH",
        XenStoreOperation.TransactionStart => "XS_TRANSACTION_START",
        XenStoreOperation.TransactionEnd => "XS_TRANSACTION_END",
        XenStoreOperation.Introduce => "XS_INTRODUCE",
        XenStoreOperation.Release => "XS_RELEASE",
        XenStoreOperation.GetDomainPath => "XS_GET_DOMAIN_PATH",
        XenStoreOperation.Write => "XS_WRITE",
        XenStoreOperation.MakeDirectory => "XS_MKDIR",
        XenStoreOperation.Remove => "XS_RM",
        XenStoreOperation.SetPermissions => "XS_SET_PERMS",
        XenStoreOperation.WatchEvent => "XS_WATCH_EVENT",
        XenStoreOperation.Error => "XS_ERROR",
        XenStoreOperation.IsDomainIntroduced => "XS_IS_DOMAIN_INTRODUCED",
        XenStoreOperation.Resume => "XS_RESUME",
        XenStoreOperation.SetTarget => "XS_SET_TARGET",
        XenStoreOperation.ResetWatches => "XS_RESET_WATCHES",
        XenStoreOperation.DirectoryPart => "XS_DIRECTORY_PART",
        _ => $"XS_UNKNOWN_{(uint)operation}",
    };
}
