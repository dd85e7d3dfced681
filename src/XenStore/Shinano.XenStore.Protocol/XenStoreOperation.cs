namespace Shinano.XenStore.Protocol;

/// <summary>The type of a message. Source: public/io/xs_wire.h: enum xsd_sockmsg_type.</summary>
public enum XenStoreOperation : uint
{
    Control = 0,
    Directory = 1,
    Read = 2,
    GetPermissions = 3,
    Watch = 4,
    Unwatch = 5,
    TransactionStart = 6,
    TransactionEnd = 7,
    Introduce = 8,
    Release = 9,
    GetDomainPath = 10,
    Write = 11,
    MakeDirectory = 12,
    Remove = 13,
    SetPermissions = 14,

    /// <summary>Sent by the server only, with request and transaction id 0.</summary>
    WatchEvent = 15,

    /// <summary>Sent by the server only; the payload is the error's name.</summary>
    Error = 16,
    IsDomainIntroduced = 17,
    Resume = 18,
    SetTarget = 19,

    // 20 was XS_RESTRICT, which has been removed.
    ResetWatches = 21,
    DirectoryPart = 22,
}
