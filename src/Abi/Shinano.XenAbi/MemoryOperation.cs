namespace Shinano.XenAbi;

/// <summary>Operations of memory_op, in the low six bits of its command. Source: public/memory.h: XENMEM_*.</summary>
public enum MemoryOperation
{
    IncreaseReservation = 0,
    DecreaseReservation = 1,
    MaximumRamPage = 2,
    CurrentReservation = 3,
    MaximumReservation = 4,
    MachineToPhysicalFrames = 5,
    PopulatePhysmap = 6,
    AddToPhysmap = 7,
    MemoryMap = 9,
    MachineMemoryMap = 10,
    Exchange = 11,
    MachineToPhysicalMapping = 12,
    SetMemoryMap = 13,
    MaximumGuestFrame = 14,
    RemoveFromPhysmap = 15,
    SetPopulateOnDemandTarget = 16,
    GetPopulateOnDemandTarget = 17,
    SharingFreedPages = 18,
    SharingSharedPages = 19,
    AccessOperation = 21,
    AddToPhysmapBatch = 23,
    ClaimPages = 24,
    CompatMachineToPhysicalFrames = 25,
    VirtualNumaInfo = 26,
    ReservedDeviceMemoryMap = 27,
    AcquireResource = 28,
}
