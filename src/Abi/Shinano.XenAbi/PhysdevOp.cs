namespace Shinano.XenAbi;

/// <summary>Commands of physdev_op that a PV guest without devices meets. Source: public/physdev.h: PHYSDEVOP_*.</summary>
public enum PhysdevOp : uint
{
    IrqUnmaskNotify = 4,
    IrqStatusQuery = 5,
    SetIopl = 6,
    SetIobitmap = 7,
    ApicRead = 8,
    ApicWrite = 9,
    AllocIrqVector = 10,
    FreeIrqVector = 11,
    Eoi = 12,
    MapPirq = 13,
    UnmapPirq = 14,
    ManagePciAdd = 15,
    ManagePciRemove = 16,
    PirqEoiGmfnV1 = 17,
    RestoreMsi = 19,
    ManagePciAddExt = 20,
    SetupGsi = 21,
    GetFreePirq = 23,
    PciMmcfgReserved = 24,
    PciDeviceAdd = 25,
    PciDeviceRemove = 26,
    RestoreMsiExt = 27,
    PirqEoiGmfnV2 = 28,
    DbgpOp = 29,
    PrepareMsix = 30,
    ReleaseMsix = 31,
}
