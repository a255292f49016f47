package remoting

// MasterID is the broker id of the one that takes writes.
const MasterID = 0

// Request codes, as in RocketMQ's RequestCode. Producer, consumer and
// administration requests to a broker.
const (
	RequestSendMessage                  int32 = 10
	RequestPullMessage                  int32 = 11
	RequestQueryMessage                 int32 = 12
	RequestQueryBrokerOffset            int32 = 13
	RequestQueryConsumerOffset          int32 = 14
	RequestUpdateConsumerOffset         int32 = 15
	RequestUpdateAndCreateTopic         int32 = 17
	RequestUpdateAndCreateTopicList     int32 = 18
	RequestGetAllTopicConfig            int32 = 21
	RequestGetTopicConfigList           int32 = 22
	RequestGetTopicNameList             int32 = 23
	RequestUpdateBrokerConfig           int32 = 25
	RequestGetBrokerConfig              int32 = 26
	RequestTriggerDeleteFiles           int32 = 27
	RequestGetBrokerRuntimeInfo         int32 = 28
	RequestSearchOffsetByTimestamp      int32 = 29
	RequestGetMaxOffset                 int32 = 30
	RequestGetMinOffset                 int32 = 31
	RequestGetEarliestMessageStoreTime  int32 = 32
	RequestViewMessageByID              int32 = 33
	RequestHeartBeat                    int32 = 34
	RequestUnregisterClient             int32 = 35
	RequestConsumerSendMessageBack      int32 = 36
	RequestEndTransaction               int32 = 37
	RequestGetConsumerListByGroup       int32 = 38
	RequestCheckTransactionState        int32 = 39 // broker to client
	RequestNotifyConsumerIDsChanged     int32 = 40 // broker to client
	RequestLockBatchMQ                  int32 = 41
	RequestUnlockBatchMQ                int32 = 42
	RequestGetAllConsumerOffset         int32 = 43
	RequestGetAllDelayOffset            int32 = 45
	RequestCheckClientConfig            int32 = 46
	RequestGetClientConfig              int32 = 47
	RequestGetTimerCheckpoint           int32 = 60
	RequestGetTimerMetrics              int32 = 61
	RequestUpdateAndCreateGroup         int32 = 200
	RequestGetAllGroupConfig            int32 = 201
	RequestGetTopicStatsInfo            int32 = 202
	RequestGetConsumerConnectionList    int32 = 203
	RequestGetProducerConnectionList    int32 = 204
	RequestDeleteGroup                  int32 = 207
	RequestGetConsumeStats              int32 = 208
	RequestDeleteTopicInBroker          int32 = 215
	RequestResetConsumerClientOffset    int32 = 220 // broker to client
	RequestGetConsumerStatusFromClient  int32 = 221 // broker to client
	RequestInvokeBrokerToResetOffset    int32 = 222
	RequestInvokeBrokerToGetStatus      int32 = 223
	RequestUpdateAndCreateGroupList     int32 = 225
	RequestQueryTopicConsumeByWho       int32 = 300
	RequestQueryConsumeTimeSpan         int32 = 303
	RequestGetSystemTopicListFromBroker int32 = 305
	RequestCleanExpiredConsumeQueue     int32 = 306
	RequestGetConsumerRunningInfo       int32 = 307 // also broker to client
	RequestQueryCorrectionOffset        int32 = 308
	RequestConsumeMessageDirectly       int32 = 309 // also broker to client
	RequestSendMessageV2                int32 = 310
	RequestCloneGroupOffset             int32 = 314
	RequestViewBrokerStatsData          int32 = 315
	RequestCleanUnusedTopic             int32 = 316
	RequestGetBrokerConsumeStats        int32 = 317
	RequestSendBatchMessage             int32 = 320
	RequestQueryConsumeQueue            int32 = 321
	RequestResumeCheckHalfMessage       int32 = 323
	RequestSendReplyMessage             int32 = 324
	RequestSendReplyMessageV2           int32 = 325
	RequestPushReplyMessageToClient     int32 = 326 // broker to client
	RequestGetAllProducerInfo           int32 = 328
	RequestDeleteExpiredCommitLog       int32 = 329
	RequestQueryTopicsByConsumer        int32 = 343
	RequestQuerySubscriptionByConsumer  int32 = 345
	RequestGetTopicConfig               int32 = 351
	RequestGetGroupConfig               int32 = 352
	RequestUpdateAndGetGroupForbidden   int32 = 353
	RequestCheckRocksDBWriteProgress    int32 = 354
	RequestExportRocksDBConfig          int32 = 355
	RequestLitePullMessage              int32 = 361
	RequestRecallMessage                int32 = 370
	RequestQueryAssignment              int32 = 400
	RequestSetMessageRequestMode        int32 = 401
	RequestGetAllMessageRequestMode     int32 = 402
	RequestUpdateAndCreateStaticTopic   int32 = 513
	RequestNotifyMinBrokerIDChange      int32 = 905
	RequestExchangeBrokerHAInfo         int32 = 906
	RequestGetBrokerHAStatus            int32 = 907
	RequestResetMasterFlushOffset       int32 = 908
	RequestGetBrokerEpochCache          int32 = 1007
	RequestNotifyBrokerRoleChanged      int32 = 1008
	RequestUpdateColdDataFlowConfig     int32 = 2001
	RequestRemoveColdDataFlowConfig     int32 = 2002
	RequestGetColdDataFlowInfo          int32 = 2003
	RequestSetCommitLogReadMode         int32 = 2004
	RequestCreateUser                   int32 = 3001
	RequestUpdateUser                   int32 = 3002
	RequestDeleteUser                   int32 = 3003
	RequestGetUser                      int32 = 3004
	RequestListUser                     int32 = 3005
	RequestCreateACL                    int32 = 3006
	RequestUpdateACL                    int32 = 3007
	RequestDeleteACL                    int32 = 3008
	RequestGetACL                       int32 = 3009
	RequestListACL                      int32 = 3010
)

// Request codes of Apogee's own. They fit in a binary header, and RocketMQ has
// none between 4000 and 200000.
const (
	RequestTrackMessage int32 = 20001

	RequestGetReplicas        int32 = 20010
	RequestAddReplica         int32 = 20011
	RequestRemoveReplica      int32 = 20012
	RequestTransferLeadership int32 = 20013
	RequestPromoteReplica     int32 = 20014
	RequestGetState           int32 = 20015

	RequestForward int32 = 20020

	RequestGetGroups int32 = 20030
	RequestSetGroup  int32 = 20031
)

// Request codes of POP consumption. They do not fit in the 16 bits of a
// binary header; the decoder restores them.
const (
	RequestPopMessage          int32 = 200050
	RequestAckMessage          int32 = 200051
	RequestPeekMessage         int32 = 200052
	RequestChangeInvisibleTime int32 = 200053
	RequestNotification        int32 = 200054
	RequestPollingInfo         int32 = 200055
	RequestPopRollback         int32 = 200056
	RequestBatchAckMessage     int32 = 200151
)

// Request codes of the nameserver.
const (
	RequestPutKVConfig               int32 = 100
	RequestGetKVConfig               int32 = 101
	RequestDeleteKVConfig            int32 = 102
	RequestRegisterBroker            int32 = 103
	RequestUnregisterBroker          int32 = 104
	RequestGetRouteInfoByTopic       int32 = 105
	RequestGetBrokerClusterInfo      int32 = 106
	RequestWipeWritePermOfBroker     int32 = 205
	RequestGetAllTopicList           int32 = 206
	RequestDeleteTopicInNameserver   int32 = 216
	RequestRegisterTopicInNameserver int32 = 217
	RequestGetKVListByNamespace      int32 = 219
	RequestGetTopicsByCluster        int32 = 224
	RequestGetSystemTopicListFromNS  int32 = 304
	RequestGetUnitTopicList          int32 = 311
	RequestGetHasUnitSubTopicList    int32 = 312
	RequestGetHasUnitSubUnunitTopics int32 = 313
	RequestUpdateNameserverConfig    int32 = 318
	RequestGetNameserverConfig       int32 = 319
	RequestQueryDataVersion          int32 = 322
	RequestAddWritePermOfBroker      int32 = 327
	RequestGetBrokerMemberGroup      int32 = 901
	RequestBrokerHeartbeat           int32 = 904
)

// Response codes, as in RocketMQ's ResponseCode. Unless said otherwise a code
// other than ResponseSuccess means that nothing was stored.
const (
	ResponseSuccess                   int32 = 0
	ResponseSystemError               int32 = 1
	ResponseSystemBusy                int32 = 2
	ResponseRequestCodeNotSupported   int32 = 3
	ResponseTransactionFailed         int32 = 4
	ResponseFlushDiskTimeout          int32 = 10 // stored
	ResponseSlaveNotAvailable         int32 = 11 // stored
	ResponseFlushSlaveTimeout         int32 = 12 // stored
	ResponseMessageIllegal            int32 = 13
	ResponseServiceNotAvailable       int32 = 14 // not stored, or outcome unknown: the remark says which
	ResponseVersionNotSupported       int32 = 15
	ResponseNoPermission              int32 = 16
	ResponseTopicNotExist             int32 = 17
	ResponseTopicExistAlready         int32 = 18
	ResponsePullNotFound              int32 = 19
	ResponsePullRetryImmediately      int32 = 20
	ResponsePullOffsetMoved           int32 = 21
	ResponseQueryNotFound             int32 = 22
	ResponseSubscriptionParseFailed   int32 = 23
	ResponseSubscriptionNotExist      int32 = 24
	ResponseSubscriptionNotLatest     int32 = 25
	ResponseGroupNotExist             int32 = 26
	ResponseFilterDataNotExist        int32 = 27
	ResponseFilterDataNotLatest       int32 = 28
	ResponseInvalidParameter          int32 = 29
	ResponseTransactionShouldCommit   int32 = 200
	ResponseTransactionShouldRollback int32 = 201
	ResponseTransactionStateUnknown   int32 = 202
	ResponseTransactionGroupWrong     int32 = 203
	ResponseNoBuyerID                 int32 = 204
	ResponseNotInCurrentUnit          int32 = 205
	ResponseConsumerNotOnline         int32 = 206
	ResponseConsumeMessageTimeout     int32 = 207
	ResponseNoMessage                 int32 = 208
	ResponsePollingFull               int32 = 209
	ResponsePollingTimeout            int32 = 210
	ResponseBrokerNotExist            int32 = 211
	ResponseDispatchNotComplete       int32 = 212
	ResponseBroadcastConsumption      int32 = 213
	ResponseFlowControl               int32 = 215
	ResponseNotLeaderForQueue         int32 = 501
	ResponseIllegalOperation          int32 = 604
	ResponseGoAway                    int32 = 1500
	ResponseUserNotExist              int32 = 3001
	ResponsePolicyNotExist            int32 = 3002
)
