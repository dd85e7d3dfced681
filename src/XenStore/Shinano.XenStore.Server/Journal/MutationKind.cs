namespace Shinano.XenStore.Server.Journal;

/// <summary>The first byte of each step in the journal. Frozen: numbers are never given another meaning.</summary>
internal enum MutationKind : byte
{
    SetGeneration = 1,
    PutNode = 2,
    RemoveNode = 3,
    IntroduceDomain = 4,
    ReleaseDomain = 5,
    SetDomainShutdown = 6,
    SetDomainTarget = 7,
    AddWatch = 8,
    RemoveWatch = 9,
    ClearWatches = 10,
    SetSpecialPermissions = 11,
    SetQuota = 12,
}
