namespace Shinano.XenAbi;

/// <summary>Behaviours that vm_assist switches. Source: public/xen.h: VMASST_TYPE_*.</summary>
public enum VmAssistType
{
    Segments4Gb = 0,
    Segments4GbNotify = 1,
    WritablePageTables = 2,
    PaeExtendedCr3 = 3,
    ArchitecturalIopl = 4,
    RunStateUpdateFlag = 5,
    StrictM2P = 32,
}
